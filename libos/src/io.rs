//! Reading and writing, shaped like `std::io`.

mod error;
mod stdio;
mod traits;

pub use error::{Error, ErrorKind, Result};
pub(crate) use stdio::is_input_ready;
pub use stdio::{Lines, Stderr, Stdin, Stdout, stderr, stdin, stdout};
pub use traits::{Read, Write, copy};

#[doc(hidden)]
pub use stdio::{print, print_line};

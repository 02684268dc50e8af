//! Start points, panic handler, allocator and compiler stubs of a guest: where a program, the services and the machine
//! below are put together. The only crate that names both worlds.
//!
//! A program says which function is its `main`:
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! entry::main!(main);
//!
//! fn main() {}
//! ```
//!
//! and names `build = "../../metaos/entry/link.rs"` in its manifest, which links it by `guest.ld`.
//!
//! Assembly stands in `gate`, `start`, `upcall`, `unwind` and `memory`; one routine a function, with its frame described
//! to unwinders, because nothing here keeps frame pointers.
#![cfg_attr(not(test), no_std)]

#[cfg(not(test))]
mod gate;
mod memory;
#[cfg(not(test))]
mod runtime;
#[cfg(not(test))]
mod start;
#[cfg(not(test))]
mod unwind;
#[cfg(not(test))]
mod upcall;

pub use services::exit::{ExitCode, Termination};

/// Makes a function the program's `main`. It takes no arguments and returns anything that implements [`Termination`]:
/// nothing, a status, an [`ExitCode`], or a `Result` of one of them.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        // What the start routine calls once the services are up.
        #[unsafe(no_mangle)]
        extern "C" fn metaos_main() -> u8 {
            $crate::Termination::report($main()).to_u8()
        }
    };
}

//! Why memory was refused.

use core::fmt;

/// Reason for refusing memory. Nothing is reserved or mapped then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The length is zero or larger than the area.
    BadLength,
    /// The alignment is not a power of two, or smaller than a page.
    BadAlignment,
    /// The area has no gap of this length left.
    NoRoom,
    /// The memory would be writable and executable.
    WritableAndExecutable,
    /// The machine refused.
    Machine(abi::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength => f.write_str("length is zero or larger than the area"),
            Self::BadAlignment => f.write_str("alignment is not a power of two of at least a page"),
            Self::NoRoom => f.write_str("no free addresses of this length; unmap something first"),
            Self::WritableAndExecutable => f.write_str("memory may not be writable and executable"),
            Self::Machine(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl From<abi::Error> for Error {
    fn from(error: abi::Error) -> Self {
        Self::Machine(error)
    }
}

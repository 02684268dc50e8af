//! The error of everything that reads, writes or talks to the network.

use core::fmt;

/// Result of an operation of [`crate::io`] and [`crate::net`].
pub type Result<T> = core::result::Result<T, Error>;

/// Error of an operation of [`crate::io`] and [`crate::net`]: a kind to act on and a text for people.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    text: &'static str,
}

/// What kind of error it is; the names are those of `std::io::ErrorKind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The address is in use.
    AddrInUse,
    /// The address is not one of this guest's, or all ports are taken.
    AddrNotAvailable,
    /// The other end of a channel or connection is closed for what was tried.
    BrokenPipe,
    /// The peer broke the connection off.
    ConnectionReset,
    /// The peer refused the connection.
    ConnectionRefused,
    /// A parameter cannot be.
    InvalidInput,
    /// Bytes that were read are not what they should be.
    InvalidData,
    /// There is no way to the host.
    HostUnreachable,
    /// There is no way to the address.
    NetworkUnreachable,
    /// The network device is absent or dead.
    NetworkDown,
    /// The name or the thing behind it does not exist.
    NotFound,
    /// The socket is not connected.
    NotConnected,
    /// Memory allows no more.
    OutOfMemory,
    /// The time allowed for it is over.
    TimedOut,
    /// The end came before all bytes did.
    UnexpectedEof,
    /// It would have to wait, and was asked not to.
    WouldBlock,
    /// A writer took no bytes.
    WriteZero,
    /// This system cannot do it.
    Unsupported,
    /// Anything else.
    Other,
}

impl Error {
    /// Makes an error; `text` says in lower case what to do about it.
    #[must_use]
    pub const fn new(kind: ErrorKind, text: &'static str) -> Self {
        Self { kind, text }
    }

    /// Makes an error of kind [`ErrorKind::Other`].
    #[must_use]
    pub const fn other(text: &'static str) -> Self {
        Self { kind: ErrorKind::Other, text }
    }

    /// Returns what kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// By hand: the derived one quotes the text, and what escapes quoted text is larger than many a program.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.kind, f)?;
        f.write_str(": ")?;
        f.write_str(self.text)
    }
}

impl core::error::Error for Error {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, text: kind.text() }
    }
}

impl ErrorKind {
    const fn text(self) -> &'static str {
        match self {
            Self::AddrInUse => "address in use",
            Self::AddrNotAvailable => "address not available",
            Self::BrokenPipe => "the other end is closed",
            Self::ConnectionReset => "connection reset",
            Self::ConnectionRefused => "connection refused",
            Self::InvalidInput => "invalid parameter",
            Self::InvalidData => "invalid data",
            Self::HostUnreachable => "host unreachable",
            Self::NetworkUnreachable => "network unreachable",
            Self::NetworkDown => "network down",
            Self::NotFound => "not found",
            Self::NotConnected => "not connected",
            Self::OutOfMemory => "out of memory",
            Self::TimedOut => "timed out",
            Self::UnexpectedEof => "the end came too early",
            Self::WouldBlock => "operation would block",
            Self::WriteZero => "nothing was written",
            Self::Unsupported => "unsupported",
            Self::Other => "other error",
        }
    }
}

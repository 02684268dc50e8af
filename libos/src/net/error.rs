//! Why a socket operation failed.

use crate::io;
use core::fmt;

/// Reason why the network refused an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Error {
    /// Another socket of this guest has the port.
    PortInUse,
    /// The address is not one of this guest's.
    NotOurAddress,
    /// The address is one nobody can be reached at, or the port is 0.
    BadAddress,
    /// All ephemeral ports are taken.
    NoPortLeft,
    /// There is no address yet, or no gateway to where the address lies.
    Unreachable,
    /// A router or host on the way knows none to the network of the address.
    NetworkUnreachable,
    /// The host does not answer on its wire, or a router says that it cannot be reached.
    HostUnreachable,
    /// As many connections are open as memory allows.
    TooManyConnections,
    /// The peer answered that nobody listens there.
    Refused,
    /// The peer broke the connection off.
    Reset,
    /// The peer did not answer for too long.
    TimedOut,
    /// The sending side is closed.
    Closed,
    /// The socket is not connected.
    NotConnected,
    /// The datagram does not fit a packet.
    TooLong,
    /// The socket is gone.
    NoSuchSocket,
    /// The network device broke down for good.
    DeviceLost,
}

impl Error {
    fn kind(self) -> io::ErrorKind {
        match self {
            Self::PortInUse => io::ErrorKind::AddrInUse,
            Self::NotOurAddress | Self::NoPortLeft => io::ErrorKind::AddrNotAvailable,
            Self::BadAddress | Self::TooLong => io::ErrorKind::InvalidInput,
            Self::Unreachable | Self::NetworkUnreachable => io::ErrorKind::NetworkUnreachable,
            Self::HostUnreachable => io::ErrorKind::HostUnreachable,
            Self::TooManyConnections => io::ErrorKind::OutOfMemory,
            Self::Refused => io::ErrorKind::ConnectionRefused,
            Self::Reset => io::ErrorKind::ConnectionReset,
            Self::TimedOut => io::ErrorKind::TimedOut,
            Self::Closed => io::ErrorKind::BrokenPipe,
            Self::NotConnected | Self::NoSuchSocket => io::ErrorKind::NotConnected,
            Self::DeviceLost => io::ErrorKind::NetworkDown,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::PortInUse => "the port is in use; choose another one",
            Self::NotOurAddress => "the address is not one of this guest's; bind to 0.0.0.0",
            Self::BadAddress => "no host can have this address or port",
            Self::NoPortLeft => "all ephemeral ports are in use; close some connections",
            Self::Unreachable => "no way to this address; set net.ip and net.gw or start a DHCP server",
            Self::NetworkUnreachable => "a router knows no way to the network; look at the routes",
            Self::HostUnreachable => "the host does not answer; look whether it runs and is plugged in",
            Self::TooManyConnections => {
                "memory allows no more connections; start the guest with more memory (-m)"
            }
            Self::Refused => "nobody listens at this address and port",
            Self::Reset => "the peer broke the connection off",
            Self::TimedOut => "the peer does not answer",
            Self::Closed => "this side of the connection is closed",
            Self::NotConnected => "the socket is not connected; connect it first",
            Self::TooLong => "the datagram is longer than any may be; send less at a time",
            Self::NoSuchSocket => "the socket is closed",
            Self::DeviceLost => "the network device broke down; restart the machine",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.text())
    }
}

//! The network, shaped like `std::net`: TCP and UDP over IPv4 and IPv6.
//!
//! The upper half (`tcp`, `udp`, `address`, `runtime`) is what programs call; it waits, alone or by
//! [`poll`](crate::poll) for many sockets. The lower half (`shard` and below) never waits and knows neither threads nor
//! clocks: it passes frames between a device and sockets. The way of a frame: device -> `stack` (found by its two
//! ends) -> `link` (smoltcp, for this one socket) -> the socket's ring, which the program reads in place; back over the
//! dirty list of `stack::egress`. A TCP segment over IPv4 with headers of the usual form goes directly to its socket
//! (`link::line`), past smoltcp's interface.
//!
//! Addresses come from the command line, by DHCP (`dhcp`) and from routers (`autoconf`); `config` says which.

mod address;
mod autoconf;
mod card;
mod checksum;
mod config;
mod connection;
mod datagram;
mod deadlines;
mod device;
mod dhcp;
mod dns;
mod error;
mod frame;
mod hash;
mod icmpv6;
mod link;
mod listener;
mod offloads;
mod pool;
mod ports;
mod reassembly;
mod runtime;
mod shard;
mod source;
mod stack;
mod tcp;
mod trouble;
mod tuning;
mod udp;

pub use address::ToSocketAddrs;
pub use core::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
pub use services::io::net::Statistics;
pub use tcp::{Incoming, Shutdown, TcpListener, TcpStream};
pub use udp::UdpSocket;

/// Returns how many TCP connections there are, with those that are still being opened or closed.
#[must_use]
pub fn connection_count() -> usize {
    runtime::connection_count()
}

/// Returns what the network card has done since the network was first used.
#[must_use]
pub fn statistics() -> Statistics {
    runtime::statistics()
}

#[cfg(test)]
mod tests;

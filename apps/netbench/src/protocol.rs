//! What server and client share; the crate's documentation says what goes over the wire.

use libos::io::{Result, Write};
use libos::net::TcpStream;

/// First of the ports unless it is said otherwise.
pub(crate) const BASE_PORT: u16 = 5201;
/// The number of bytes that asks a source to send until the client goes.
pub(crate) const WITHOUT_END: u64 = u64::MAX;
/// Most datagrams that one request to the source may ask for.
pub(crate) const MOST_DATAGRAMS: u64 = 10_000_000;
/// Least bytes of a datagram that has a number.
pub(crate) const NUMBER_BYTES: usize = 8;
/// Most bytes of a datagram that fits a frame: the MTU of Ethernet without the headers of IPv4 and UDP.
pub(crate) const MOST_DATAGRAM_BYTES: usize = 1472;

/// What the bytes of a stream are copied from, as a program would send something that it has.
static FILLING: [u8; 4096] = [b'n'; 4096];

/// What is served, in the order of the ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// Sends back.
    Echo,
    /// Takes.
    Sink,
    /// Sends.
    Source,
    /// Closes.
    Close,
    /// Tells what was counted.
    Figures,
}

impl Service {
    /// Those over TCP.
    pub(crate) const ALL: [Self; 5] = [Self::Echo, Self::Sink, Self::Source, Self::Close, Self::Figures];

    /// Returns its port, or `None` if there is no such port.
    pub(crate) fn port(self, base: u16) -> Option<u16> {
        base.checked_add(self as u16)
    }
}

/// Sends at most `most` bytes of nothing in particular, written in place, and returns how many.
pub(crate) fn send_filling(stream: &TcpStream, most: u64) -> Result<u64> {
    stream.write_with(|space| {
        let length = usize::try_from(most).unwrap_or(usize::MAX).min(space.len());
        for piece in space[..length].chunks_mut(FILLING.len()) {
            piece.copy_from_slice(&FILLING[..piece.len()]);
        }
        (length, length as u64)
    })
}

/// Sends one integer.
pub(crate) fn send_number(mut stream: &TcpStream, number: u64) -> Result<()> {
    stream.write_all(&number.to_le_bytes())
}

//! What the simulation asks of a host: frames in and out, and one connection.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use smoltcp::time::Instant;

/// The port that the one who listens listens at.
pub(super) const PORT: u16 = 80;

/// Returns the number of the host with `address`, the last octet.
pub(super) fn number(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    }
}

/// A host with one connection.
pub(super) trait Host {
    /// Says which stack it is.
    fn name(&self) -> &'static str;

    /// Takes a frame that arrives.
    fn arrive(&mut self, frame: Vec<u8>);

    /// Works until nothing more can be done at this moment, and adds what it sends to `sent`.
    fn work(&mut self, now: Instant, sent: &mut Vec<Vec<u8>>);

    /// Returns when it wants to work again if no frame comes before.
    fn deadline(&mut self, now: Instant) -> Option<Instant>;

    /// Waits for the connection at [`PORT`].
    fn listen(&mut self);

    /// Asks `peer` for the connection.
    fn connect(&mut self, peer: IpAddr);

    /// Tells whether the connection has come about, or ever had.
    fn is_open(&mut self) -> bool;

    /// Passes free space to `fill`, once, which returns how much of it it has used; 0 if there is none.
    fn write(&mut self, fill: &mut dyn FnMut(&mut [u8]) -> usize) -> usize;

    /// Passes a piece of what has come to `take`.
    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> Reading;

    /// Says that nothing more will be written.
    fn close_sending(&mut self);

    /// Lets go of the connection, after the end was read and written.
    fn release(&mut self);

    /// Counts the connections that are left, those included that only wait for time to pass.
    fn connection_count(&mut self) -> usize;

    /// Checks that its tables agree with each other.
    fn audit(&mut self) {}
}

/// What reading gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    Bytes,
    Nothing,
    /// The peer has sent its last byte.
    End,
    /// The connection broke: why.
    Broken(String),
}

//! What the stack asks of a network device: frames in, frames out, and a bell.
//!
//! The stack's own trait, so that the same stack runs on a virtqueue in a guest and on a pair of queues in a unit
//! test. Receiving and transmitting are borrowed apart: a reply is written into a transmit buffer while the frame
//! that causes it is still read in place in its receive buffer.

use core::num::{NonZeroU16, NonZeroUsize};
use services::io::net::Carrier;

/// What a device is and can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Capabilities {
    /// Its Ethernet address.
    pub(crate) address: [u8; 6],
    /// Largest IP packet that it carries, in bytes.
    pub(crate) mtu: usize,
    /// Who writes the checksums of TCP segments that are sent.
    pub(crate) checksums: Checksums,
    /// Length of the longest frame with a TCP segment over IPv4 that it cuts, if it cuts them. Then it writes checksums
    /// as well.
    pub(crate) cuts_ipv4: Option<NonZeroUsize>,
    /// The same over IPv6.
    pub(crate) cuts_ipv6: Option<NonZeroUsize>,
}

/// Who writes the checksums of TCP segments that are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Checksums {
    /// The stack.
    Stack,
    /// The device.
    Device,
}

/// What is known of the TCP or UDP checksum of a frame that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nothing: it must be checked.
    Unknown,
    /// The device vouches for it.
    Right,
}

/// What is left to do for a frame that is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finish {
    /// Nothing.
    Nothing,
    /// Write the checksum of its TCP segment; the sum of the pseudo-header stands in its place.
    Checksum(TcpPlace),
    /// Cut its TCP segment into such with so many bytes each, and write their checksums.
    Cut(TcpPlace, NonZeroU16),
}

/// Where a TCP segment lies in its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TcpPlace {
    /// What carries it.
    pub(crate) carrier: Carrier,
    /// Where it starts.
    pub(crate) start: u16,
    /// Where its data start: the length of all headers.
    pub(crate) data: u16,
}

/// A network device.
pub(crate) trait Device {
    /// Its receiving half.
    type Receiver: Receiver;
    /// Its transmitting half.
    type Transmitter: Transmitter;

    /// Returns what the device is and can do.
    fn capabilities(&self) -> Capabilities;

    /// Borrows the two halves apart; `None` if the device is given up.
    fn parts(&mut self) -> Option<(&mut Self::Receiver, &mut Self::Transmitter)>;

    /// Begins a round of work: brings a device that broke the rules up again.
    fn attend(&mut self);

    /// Makes sure that the device knows of all frames that were sent and buffers that were given back.
    fn flush(&mut self);
}

/// The receiving half of a device.
pub(crate) trait Receiver {
    /// Calls `read` with the next frame, in place, and gives the buffer back to the device; `None` if none is here.
    fn receive<R>(&mut self, read: impl FnOnce(&[u8], Verdict) -> R) -> Option<R>;
}

/// The transmitting half of a device.
pub(crate) trait Transmitter {
    /// Tells whether a frame can be taken now, however long.
    fn has_room(&mut self) -> bool;

    /// Queues a frame of `length` bytes that `write` fills; it also says what is left to do. Without room the frame is
    /// lost.
    fn transmit<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> (R, Finish)) -> R;
}

/// A transmitter of whatever kind, for what is sent now and then: there is one copy of the code that uses it.
pub(crate) trait Outlet {
    /// As [`Transmitter::has_room`].
    fn has_room(&mut self) -> bool;

    /// As [`Transmitter::transmit`].
    fn transmit(&mut self, length: usize, write: &mut dyn FnMut(&mut [u8]) -> Finish);
}

impl<T: Transmitter> Outlet for T {
    fn has_room(&mut self) -> bool {
        Transmitter::has_room(self)
    }

    fn transmit(&mut self, length: usize, write: &mut dyn FnMut(&mut [u8]) -> Finish) {
        Transmitter::transmit(self, length, |frame| ((), write(frame)));
    }
}

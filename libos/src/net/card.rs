//! The network card of the guest, as the stack wants it.

use super::checksum::{TCP_CHECKSUM, TCP_START};
use super::device::{self, Capabilities, Checksums, Device, Finish, Verdict};
use crate::task::Work;
use alloc::vec;
use services::io::net::{Checksum, Net, Offload, Receiver, Transmitter};

/// The network card.
#[derive(Debug)]
pub(crate) struct Card {
    net: Net,
}

impl Card {
    pub(crate) const fn new(net: Net) -> Self {
        Self { net }
    }

    /// Tells whether the card says when it has work.
    pub(crate) fn has_events(&self) -> bool {
        !self.net.events().is_empty()
    }

    /// Asks for an event when there is work, and tells whether there is some already.
    pub(crate) fn begin_wait(&mut self) -> Work {
        if self.net.enable_interrupts() { Work::Waiting } else { Work::None }
    }

    /// Asks for no more events.
    pub(crate) fn end_wait(&mut self) {
        self.net.disable_interrupts();
    }
}

impl Device for Card {
    type Receiver = Receiver;
    type Transmitter = Transmitter;

    fn capabilities(&self) -> Capabilities {
        let checksums =
            if self.net.capabilities().fills_checksums { Checksums::Device } else { Checksums::Stack };
        let mut address = self.net.mac();
        // A group address would be no address of a host (IEEE 802, 8.2.2).
        address[0] &= !1;
        Capabilities { address, mtu: self.net.mtu(), checksums }
    }

    fn parts(&mut self) -> Option<(&mut Receiver, &mut Transmitter)> {
        self.net.split().ok()
    }

    fn attend(&mut self) {
        // A card that does not come back stays without parts, and connections run into their time limits.
        let _ = self.net.attend();
    }

    fn flush(&mut self) {
        self.net.flush();
    }
}

impl device::Receiver for Receiver {
    fn receive<R>(&mut self, read: impl FnOnce(&[u8], Verdict) -> R) -> Option<R> {
        let frame = self.next_frame()?;
        let verdict = match frame.checksum() {
            Checksum::Unverified => Verdict::Unknown,
            Checksum::Verified => Verdict::Right,
        };
        Some(read(&frame, verdict))
    }
}

impl device::Transmitter for Transmitter {
    fn has_room(&mut self) -> bool {
        self.can_transmit()
    }

    fn transmit<R>(&mut self, length: usize, finish: Finish, write: impl FnOnce(&mut [u8]) -> R) -> R {
        if length > self.frame_limit() || !self.can_transmit() {
            return write(&mut vec![0; length]);
        }
        let offload = match finish {
            Finish::Nothing => Offload::None,
            Finish::TcpChecksum => Offload::Checksum { start: START, offset: OFFSET },
        };
        Self::transmit(self, length, offload, write).expect("there is room for a frame of this length")
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the places of header fields are small")]
const START: u16 = TCP_START as u16;
#[expect(clippy::cast_possible_truncation, reason = "the places of header fields are small")]
const OFFSET: u16 = TCP_CHECKSUM as u16;

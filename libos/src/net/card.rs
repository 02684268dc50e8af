//! The network card of the guest, as the stack wants it.

use super::checksum::TCP_CHECKSUM;
use super::device::{self, Capabilities, Checksums, Device, Finish, TcpPlace, Verdict};
use super::frame::ETHERNET_HEADER;
use crate::task::Work;
use alloc::vec;
use core::num::NonZeroUsize;
use services::io::net::{Checksum, Net, Offload, Receiver, Statistics, Transmitter};

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

    /// Returns what was counted.
    pub(crate) fn statistics(&self) -> Statistics {
        self.net.statistics()
    }

    /// Asks for an event when there is work, and tells whether there is some already.
    pub(crate) fn begin_wait(&mut self) -> Work {
        // The last round of a poll that ended for want of patience has not shown what it answered and gave back.
        self.net.flush();
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
        let given = self.net.capabilities();
        let mtu = self.net.mtu();
        let checksums = if given.fills_checksums { Checksums::Device } else { Checksums::Stack };
        let mut address = self.net.mac();
        // A group address would be no address of a host (IEEE 802, 8.2.2).
        address[0] &= !1;
        let cuts_ipv4 =
            if given.cuts_ipv4 { longest(given.frame_limit, mtu, IPV4_TCP_HEADERS) } else { None };
        let cuts_ipv6 =
            if given.cuts_ipv6 { longest(given.frame_limit, mtu, IPV6_TCP_HEADERS) } else { None };
        Capabilities { address, mtu, checksums, cuts_ipv4, cuts_ipv6 }
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

    fn transmit<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> (R, Finish)) -> R {
        let fill = |frame: &mut [u8]| {
            let (result, finish) = write(frame);
            (result, offload(finish))
        };
        Self::transmit(self, length, fill).unwrap_or_else(|fill| fill(&mut vec![0; length]).0)
    }
}

/// Returns the length of the longest frame whose TCP segment the device shall cut, if that is worth it: its data are as
/// many whole segments as fit a frame of `limit` bytes and an IP packet. `headers` are those of IP and TCP.
fn longest(limit: usize, mtu: usize, headers: usize) -> Option<NonZeroUsize> {
    let packet = limit.checked_sub(ETHERNET_HEADER)?.min(LARGEST_PACKET);
    let segment = mtu.checked_sub(headers)?;
    let segments = packet.checked_sub(headers)?.checked_div(segment)?;
    if segments < 2 { None } else { NonZeroUsize::new(ETHERNET_HEADER + headers + segments * segment) }
}

/// Says in virtio's words what is left to do.
#[inline]
const fn offload(finish: Finish) -> Offload {
    match finish {
        Finish::Nothing => Offload::None,
        Finish::Checksum(TcpPlace { start, .. }) => Offload::Checksum { start, offset: CHECKSUM },
        Finish::Cut(TcpPlace { carrier, start, data }, size) => Offload::Segment {
            carrier,
            header_length: data,
            segment_size: size.get(),
            start,
            offset: CHECKSUM,
        },
    }
}

const IPV4_TCP_HEADERS: usize = 40;
const IPV6_TCP_HEADERS: usize = 60;
/// The length field of IP has 16 bits.
const LARGEST_PACKET: usize = 65_535;

#[expect(clippy::cast_possible_truncation, reason = "the place of a header field is small")]
const CHECKSUM: u16 = TCP_CHECKSUM as u16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_frame_to_cut_holds_whole_segments() {
        let longest = |limit, mtu, headers| longest(limit, mtu, headers).map(NonZeroUsize::get);
        assert_eq!(longest(65_553, 1500, IPV4_TCP_HEADERS), Some(64_294));
        assert_eq!(longest(65_553, 1500, IPV6_TCP_HEADERS), Some(74 + 45 * 1440));
        assert_eq!(longest(16_372, 1500, IPV4_TCP_HEADERS), Some(54 + 11 * 1460));
        assert_eq!(longest(1518, 1500, IPV4_TCP_HEADERS), None);
        assert_eq!(longest(0, 0, IPV4_TCP_HEADERS), None);
    }
}

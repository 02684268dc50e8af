//! The way of UDP datagrams without detours, for the last pair of ends that something was sent between.
//!
//! What answers one peer after the other sends to the one it has just heard of. As with connections (`line`), the next
//! hop is remembered for a few seconds at most, and all that is unusual passes the whole stack.

use super::segment::{Path, has_right_sum};
use super::{Egress, Link, Route};
use crate::net::checksum;
use crate::net::device::{Finish, Transmitter};
use crate::net::frame::{ETHERNET_HEADER, IPV4_HEADER, PROTOCOL_UDP, TYPE_IPV4, Tuple};
use smoltcp::socket::udp::Socket;
use smoltcp::time::Instant;
use smoltcp::wire::{IpProtocol, IpRepr, Ipv4Repr, UdpRepr};

/// Where the datagram starts.
const START: usize = ETHERNET_HEADER + IPV4_HEADER;
const UDP_HEADER: usize = 8;
const HEADERS: usize = START + UDP_HEADER;
const HOP_LIMIT: u8 = 64;

/// The ends of a conversation, and the headers of what is sent between them.
#[derive(Debug)]
pub(super) struct Way {
    tuple: Tuple,
    path: Path,
}

impl Link {
    /// Sends a datagram at once; `None`: the stack behind has to.
    pub(crate) fn send_directly(
        &mut self,
        now: Instant,
        tuple: Tuple,
        payload: &[u8],
        transmitter: &mut impl Transmitter,
    ) -> Option<Egress> {
        if !self.has_way(tuple, now) {
            self.way = None;
            let route = self.route(tuple.remote)?;
            self.way = Some(Way { tuple, path: self.path(now, PROTOCOL_UDP, tuple, route)? });
        }
        let path = &self.way.as_ref()?.path;
        if !transmitter.has_room() {
            return Some(Egress::Full);
        }
        transmitter.transmit(HEADERS + payload.len(), |frame| {
            write(path, payload, frame);
            ((), Finish::Nothing)
        });
        Some(Egress::Sent)
    }

    /// Hands the frame with a datagram between the ends of `tuple` to the socket that it is for, if it is of the usual
    /// form; else `false`.
    pub(crate) fn take_directly(
        &mut self,
        now: Instant,
        frame: &[u8],
        tuple: Tuple,
        socket: &mut Socket<'_>,
        route: Route,
    ) -> bool {
        if route != Route::Wire || !self.has_way(tuple, now) {
            return false;
        }
        let Some((ip, datagram, payload)) = read(self.local.hardware, frame) else { return false };
        self.interface.process_datagram(now, socket, &ip, &datagram, payload);
        true
    }

    #[inline]
    fn has_way(&self, tuple: Tuple, now: Instant) -> bool {
        self.way.as_ref().is_some_and(|way| way.tuple == tuple && way.path.is_valid(self.generation, now))
    }
}

fn write(path: &Path, payload: &[u8], frame: &mut [u8]) {
    let length = u16::try_from(frame.len() - START).unwrap_or(u16::MAX);
    let Some((headers, rest)) = frame.split_first_chunk_mut::<HEADERS>() else { return };
    path.write_prefix(HOP_LIMIT, length.saturating_add(20), headers);
    headers[38..40].copy_from_slice(&length.to_be_bytes());
    headers[40..42].fill(0);
    rest.copy_from_slice(payload);
    // All ones is the other way to write zero, which would mean that there is no checksum (RFC 768).
    let sum = match checksum::of(path.pseudo_sum(length), &frame[START..]) {
        0 => u16::MAX,
        sum => sum,
    };
    frame[40..42].copy_from_slice(&sum.to_be_bytes());
}

/// Reads a datagram of the usual form to the Ethernet address `own`, whose checksum has been looked at.
fn read(own: [u8; 6], frame: &[u8]) -> Option<(IpRepr, UdpRepr, &[u8])> {
    let (headers, rest) = frame.split_first_chunk::<HEADERS>()?;
    let word = |at: usize| u16::from_be_bytes([headers[at], headers[at + 1]]);
    let address = |at: usize| [headers[at], headers[at + 1], headers[at + 2], headers[at + 3]].into();
    let is_usual = headers[..6] == own
        && headers[12..14] == TYPE_IPV4
        && headers[14] == 0x45
        && word(20) & 0x3fff == 0
        && headers[23] == PROTOCOL_UDP
        && has_right_sum(headers)
        && word(36) != 0;
    let packet = usize::from(word(16)).checked_sub(IPV4_HEADER)?;
    let length = usize::from(word(38));
    if !is_usual || length > packet || packet > rest.len() + UDP_HEADER {
        return None;
    }
    let payload = rest.get(..length.checked_sub(UDP_HEADER)?)?;
    let ip = Ipv4Repr {
        src_addr: address(26),
        dst_addr: address(30),
        next_header: IpProtocol::Udp,
        payload_len: packet,
        hop_limit: headers[22],
    };
    Some((IpRepr::Ipv4(ip), UdpRepr { src_port: word(34), dst_port: word(36) }, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr};
    use smoltcp::wire::{Ipv4Packet, UdpPacket};

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];

    /// What is sent with `payload` from 10.0.0.1:7 to 10.0.0.2:4000.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        let tuple = Tuple { local: address(1), remote: address(2), local_port: 7, remote_port: 4000 };
        let path = Path::new(OWN, PEER, PROTOCOL_UDP, tuple, 0, Instant::ZERO).unwrap();
        let mut frame = vec![0xaa; HEADERS + payload.len()];
        write(&path, payload, &mut frame);
        frame
    }

    #[test]
    fn what_is_written_is_whole_and_is_read_again() {
        for length in [0, 1, 2, 3, 63, 64, 1472] {
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            let frame = frame(&payload);
            let packet = Ipv4Packet::new_checked(&frame[14..]).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!((packet.hop_limit(), packet.dont_frag()), (64, true));
            let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
            assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
            assert_eq!(datagram.payload(), payload);
            let (ip, repr, read) = read(PEER, &frame).unwrap();
            assert_eq!((repr.src_port, repr.dst_port, read), (7, 4000, &payload[..]));
            assert_eq!(ip.payload_len(), length + UDP_HEADER);
        }
    }

    #[test]
    fn a_checksum_of_zero_is_written_as_all_ones() {
        let sums = (0..=u16::MAX).map(|word| frame(&word.to_be_bytes())).map(|frame| [frame[40], frame[41]]);
        assert!(sums.clone().any(|sum| sum == [0xff; 2]));
        assert!(sums.clone().all(|sum| sum != [0; 2]));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_stack() {
        let good = frame(b"datagram");
        assert!(read(PEER, &good).is_some());
        assert!(read(OWN, &good).is_none());
        for length in 0..good.len() {
            assert!(read(PEER, &good[..length]).is_none());
        }
        for (at, value) in [(12, 0x86), (14, 0x46), (20, 0x60), (23, 6), (24, good[24] ^ 1), (38, 1), (39, 7)]
        {
            let mut bad = good.clone();
            bad[at] = value;
            assert!(read(PEER, &bad).is_none(), "byte {at}");
        }
        let padded = [&good[..], &[0; 20]].concat();
        assert_eq!(read(PEER, &padded).unwrap().2, b"datagram");
    }
}

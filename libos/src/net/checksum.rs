//! Transport checksums, where the device and the stack share the work.
//!
//! smoltcp knows only devices that check all frames or none, and virtio says it frame by frame: one that comes from
//! the same host may carry half a checksum that nobody needs to look at. So the stack behind never checks, and
//! [`is_right`] does for the frames that the device does not vouch for. On the way out the device wants the sum of
//! the pseudo-header in place of a checksum (virtio 1.2, 5.1.6.2).

use super::frame::{ETHERNET_HEADER, IPV4_HEADER, TYPE_IPV4, TYPE_IPV6};
use core::net::Ipv4Addr;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket};

/// Where the TCP segment starts in a frame that the stack has written: it writes no IPv4 options.
pub(crate) const TCP_START: usize = ETHERNET_HEADER + IPV4_HEADER;
/// Where the checksum stands in a TCP header (RFC 9293, 3.1).
pub(crate) const TCP_CHECKSUM: usize = 16;
/// Length of the shortest frame with a TCP segment.
pub(crate) const LEAST_TCP_FRAME: usize = TCP_START + 20;

/// Tells whether the TCP or UDP checksum of `frame` is right; a frame with neither passes.
pub(crate) fn is_right(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some(kind) if kind == TYPE_IPV4 => is_right_v4(&frame[ETHERNET_HEADER..]),
        Some(kind) if kind == TYPE_IPV6 => is_right_v6(&frame[ETHERNET_HEADER..]),
        _ => true,
    }
}

fn is_right_v4(packet: &[u8]) -> bool {
    let Ok(packet) = Ipv4Packet::new_checked(packet) else { return true };
    if packet.more_frags() || packet.frag_offset() != 0 {
        return true;
    }
    let (source, destination) = (IpAddress::Ipv4(packet.src_addr()), IpAddress::Ipv4(packet.dst_addr()));
    match packet.next_header() {
        IpProtocol::Tcp => is_right_segment(packet.payload(), &source, &destination),
        IpProtocol::Udp => UdpPacket::new_checked(packet.payload())
            .is_ok_and(|datagram| datagram.verify_checksum(&source, &destination)),
        _ => true,
    }
}

#[inline(never)]
fn is_right_v6(packet: &[u8]) -> bool {
    let Ok(packet) = Ipv6Packet::new_checked(packet) else { return true };
    let (source, destination) = (IpAddress::Ipv6(packet.src_addr()), IpAddress::Ipv6(packet.dst_addr()));
    let payload = packet.payload();
    match packet.next_header() {
        IpProtocol::Tcp => is_right_segment(payload, &source, &destination),
        // A datagram without a checksum is none (RFC 8200, 8.1).
        IpProtocol::Udp => UdpPacket::new_checked(payload).is_ok_and(|datagram| {
            datagram.checksum() != 0 && datagram.verify_checksum(&source, &destination)
        }),
        _ => true,
    }
}

fn is_right_segment(bytes: &[u8], source: &IpAddress, destination: &IpAddress) -> bool {
    TcpPacket::new_checked(bytes).is_ok_and(|segment| segment.verify_checksum(source, destination))
}

/// Writes the checksum of a TCP segment that the stack has left out; leaves other frames alone.
pub(crate) fn complete(frame: &mut [u8]) {
    if frame.get(12..14) == Some(&TYPE_IPV6) {
        return complete_v6(frame);
    }
    let Some((source, destination, segment)) = tcp_segment(frame) else { return };
    if let Ok(mut segment) = TcpPacket::new_checked(segment) {
        segment.fill_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(destination));
    }
}

#[inline(never)]
fn complete_v6(frame: &mut [u8]) {
    let Ok(mut packet) = Ipv6Packet::new_checked(&mut frame[ETHERNET_HEADER..]) else { return };
    let (source, destination) = (IpAddress::Ipv6(packet.src_addr()), IpAddress::Ipv6(packet.dst_addr()));
    if packet.next_header() == IpProtocol::Tcp
        && let Ok(mut segment) = TcpPacket::new_checked(packet.payload_mut())
    {
        segment.fill_checksum(&source, &destination);
    }
}

/// Writes the sum of the pseudo-header in place of the checksum of a TCP segment, for the device to go on from.
pub(crate) fn begin(frame: &mut [u8]) {
    let Some((source, destination, segment)) = tcp_segment(frame) else { return };
    let length = u32::try_from(segment.len()).unwrap_or(0);
    let halves = |address: Ipv4Addr| {
        let [a, b, c, d] = address.octets();
        u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d]))
    };
    let sum = halves(source) + halves(destination) + u32::from(u8::from(IpProtocol::Tcp)) + length;
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    if let (Ok(folded), Some(place)) =
        (u16::try_from(folded), segment.get_mut(TCP_CHECKSUM..TCP_CHECKSUM + 2))
    {
        place.copy_from_slice(&folded.to_be_bytes());
    }
}

fn tcp_segment(frame: &mut [u8]) -> Option<(Ipv4Addr, Ipv4Addr, &mut [u8])> {
    let (headers, segment) = frame.split_at_mut_checked(TCP_START)?;
    let packet = headers.get(ETHERNET_HEADER..)?.first_chunk::<IPV4_HEADER>()?;
    if headers[12..14] != [0x08, 0x00] || packet[0] != 0x45 || packet[9] != u8::from(IpProtocol::Tcp) {
        return None;
    }
    let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
    let destination = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
    Some((source, destination, segment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A segment of 3 bytes from 10.0.0.1:80 to 10.0.0.2:4660, without a checksum.
    fn frame() -> Vec<u8> {
        let mut frame = Vec::from([2; 12]);
        frame.extend([0x08, 0x00, 0x45, 0, 0, 43, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0, 80, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 4, 0, 0, 0, 0, 0]);
        frame.extend(*b"abc");
        frame
    }

    #[test]
    fn a_completed_segment_is_right_and_a_changed_one_is_not() {
        let mut frame = frame();
        assert!(!is_right(&frame));
        complete(&mut frame);
        assert!(is_right(&frame));
        let last = frame.len() - 1;
        frame[last] ^= 1;
        assert!(!is_right(&frame));
    }

    #[test]
    fn a_segment_of_ipv6_is_completed_and_checked() {
        let mut frame = Vec::from([2; 12]);
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 23, 6, 64]);
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        frame.extend([0, 80, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 4, 0, 0, 0, 0, 0]);
        frame.extend(*b"abc");
        assert!(!is_right(&frame));
        complete(&mut frame);
        assert!(is_right(&frame));
        for length in 0..frame.len() {
            let mut short = frame[..length].to_vec();
            let _ = is_right(&short);
            complete(&mut short);
        }
        frame[30] ^= 1;
        assert!(!is_right(&frame));
    }

    #[test]
    fn the_device_can_go_on_from_what_is_begun() {
        let mut begun = frame();
        begin(&mut begun);
        // What the device does: the one's complement sum from the start of the segment.
        let segment = &begun[TCP_START..];
        let sum = segment.chunks(2).fold(0_u32, |sum, pair| {
            sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
        });
        let sum = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        let mut finished = frame();
        complete(&mut finished);
        let place = TCP_START + TCP_CHECKSUM;
        assert_eq!(finished[place..place + 2], checksum.to_be_bytes());
    }

    #[test]
    fn frames_that_are_no_segments_are_left_alone() {
        for length in 0..frame().len() {
            let mut short = frame();
            short.truncate(length);
            let _ = is_right(&short);
            complete(&mut short);
            begin(&mut short);
        }
    }
}

//! Transport checksums, where the device and the stack share the work.
//!
//! smoltcp knows only devices that check all frames or none, and virtio says it frame by frame: one that comes from
//! the same host may carry half a checksum that nobody needs to look at. So the stack behind never checks, and
//! [`is_right`] does for the frames that the device does not vouch for. On the way out the device wants the sum of
//! the pseudo-header in place of a checksum (virtio 1.2, 5.1.6.2).

use super::device::TcpPlace;
use super::frame::{ETHERNET_HEADER, PROTOCOL_TCP, TYPE_IPV4, TYPE_IPV6};
use services::io::net::Carrier;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket, checksum};

/// Bytes of the shortest frame with a TCP segment.
const LEAST_IPV4: usize = 54;
const LEAST_IPV6: usize = 74;
/// Where the checksum stands in a TCP header (RFC 9293, 3.1).
pub(crate) const TCP_CHECKSUM: usize = 16;

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

/// Writes the sum of the pseudo-header in place of the checksum of a TCP segment, for the device to go on from, and says
/// where the segment is. Leaves frames with something else alone, and those that the stack would not have written.
pub(crate) fn begin(frame: &mut [u8]) -> Option<TcpPlace> {
    let length = frame.len();
    let headers = frame.first_chunk_mut::<LEAST_IPV4>()?;
    if headers[12..14] != TYPE_IPV4 {
        return begin_v6(frame);
    }
    if headers[14] != 0x45 || headers[23] != PROTOCOL_TCP {
        return None;
    }
    let sum = u64::from(word(headers, 26)) + u64::from(word(headers, 30));
    let sum = pseudo_sum(sum, length - 34)?;
    headers[34 + TCP_CHECKSUM..][..2].copy_from_slice(&sum);
    Some(TcpPlace { carrier: Carrier::Ipv4, start: 34, data: 34 + data_offset(headers[46]) })
}

#[inline(never)]
fn begin_v6(frame: &mut [u8]) -> Option<TcpPlace> {
    let length = frame.len();
    let headers = frame.first_chunk_mut::<LEAST_IPV6>()?;
    if headers[12..14] != TYPE_IPV6 || headers[20] != PROTOCOL_TCP {
        return None;
    }
    let sum = (22..54).step_by(4).map(|at| u64::from(word(headers, at))).sum();
    let sum = pseudo_sum(sum, length - 54)?;
    headers[54 + TCP_CHECKSUM..][..2].copy_from_slice(&sum);
    Some(TcpPlace { carrier: Carrier::Ipv6, start: 54, data: 54 + data_offset(headers[66]) })
}

/// Folds the sum of the addresses, and adds protocol and length.
fn pseudo_sum(addresses: u64, length: usize) -> Option<[u8; 2]> {
    let sum = addresses + u64::from(PROTOCOL_TCP) + length as u64;
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    Some(u16::try_from(sum).ok()?.to_be_bytes())
}

fn word<const N: usize>(headers: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([headers[at], headers[at + 1], headers[at + 2], headers[at + 3]])
}

/// Bytes of a TCP header, of which `field` holds the number of words (RFC 9293, 3.1).
const fn data_offset(field: u8) -> u16 {
    (field >> 4) as u16 * 4
}

/// Returns the checksum of `bytes` after words whose sum is `sum` (RFC 1071).
#[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
pub(crate) fn of(sum: u32, bytes: &[u8]) -> u16 {
    !checksum::combine(&[(sum >> 16) as u16, sum as u16, checksum::data(bytes)])
}

/// Writes the checksum of a TCP segment that the stack has left out; leaves other frames alone.
pub(crate) fn complete(frame: &mut [u8]) {
    let Some(place) = begin(frame) else { return };
    let (start, field) = (usize::from(place.start), usize::from(place.start) + TCP_CHECKSUM);
    // The sum so far is the pseudo-header's; the device would go on from there as well.
    let checksum = of(0, &frame[start..]);
    frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
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

    /// The same over IPv6, from `fd00::1` to `fd00::2`.
    fn frame_of_ipv6() -> Vec<u8> {
        let mut frame6 = Vec::from([2; 12]);
        frame6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 23, 6, 64]);
        for last in [1, 2] {
            frame6.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        frame6.extend_from_slice(&frame()[34..]);
        frame6
    }

    #[test]
    fn a_segment_that_was_changed_is_not_right() {
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
        let place = TcpPlace { carrier: Carrier::Ipv4, start: 34, data: 54 };
        assert_eq!(begin(&mut begun), Some(place));
        finish(&mut begun, 34);
        let addresses = [IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2)];
        let segment = TcpPacket::new_checked(&begun[34..]).unwrap();
        assert!(segment.verify_checksum(&addresses[0], &addresses[1]));

        let mut begun = frame_of_ipv6();
        let place = TcpPlace { carrier: Carrier::Ipv6, start: 54, data: 74 };
        assert_eq!(begin(&mut begun), Some(place));
        finish(&mut begun, 54);
        // The sum of all halves, the pseudo-header's included (RFC 8200, 8.1).
        let sum = sum_of(&begun[22..]) + 6 + 23;
        assert_eq!(fold(sum), 0xffff);
    }

    /// What a device does: the one's complement sum from the start of the segment goes where the sum so far is.
    fn finish(frame: &mut [u8], start: usize) {
        let checksum = !fold(sum_of(&frame[start..]));
        frame[start + TCP_CHECKSUM..start + TCP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
    }

    fn sum_of(bytes: &[u8]) -> u32 {
        bytes.chunks(2).fold(0_u32, |sum, pair| {
            sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
        })
    }

    fn fold(sum: u32) -> u16 {
        let sum = (sum & 0xffff) + (sum >> 16);
        u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
    }

    #[test]
    fn frames_that_are_no_segments_are_left_alone() {
        for whole in [frame(), frame_of_ipv6()] {
            for length in 0..whole.len() {
                let mut short = whole.clone();
                short.truncate(length);
                let _ = is_right(&short);
                let _ = begin(&mut short);
            }
            let mut datagram = whole.clone();
            datagram[if whole[12] == 0x08 { 23 } else { 20 }] = 17;
            let before = datagram.clone();
            assert_eq!(begin(&mut datagram), None);
            assert_eq!(datagram, before);
        }
    }
}

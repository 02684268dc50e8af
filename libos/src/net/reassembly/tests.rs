//! Pieces in any order, and such that lie.

use super::*;
use alloc::vec;

/// A frame of IPv4 with `length` bytes of UDP in it.
fn packet(length: u8, number: u8) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([8, 0, 0x45, 0, 0, 20 + length, 0, number, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend((0..length).map(|index| index.wrapping_mul(7) ^ number));
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame
}

/// The bytes `range` of `whole` as a piece.
fn piece(whole: &[u8], range: Range<usize>) -> Vec<u8> {
    let mut frame = Vec::from(&whole[..34]);
    let is_last = 34 + range.end == whole.len();
    let place = u16::try_from(range.start / 8).unwrap() | if is_last { 0 } else { 0x2000 };
    frame[20..22].copy_from_slice(&place.to_be_bytes());
    frame.extend(&whole[34..][range]);
    let length = u16::try_from(frame.len() - 14).unwrap();
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
    frame
}

#[test]
fn pieces_in_any_order_give_the_packet() {
    let whole = packet(48, 1);
    let pieces = [piece(&whole, 0..16), piece(&whole, 16..32), piece(&whole, 32..48)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut reassembly = Reassembly::default();
        let [first, second, third] = order.map(|index| reassembly.take_v4(Instant::ZERO, &pieces[index]));
        assert_eq!((first, second), (None, None));
        assert_eq!(third.as_ref(), Some(&whole));
        assert!(reassembly.packets.is_empty());
    }
}

#[test]
fn a_piece_that_comes_twice_does_no_harm_and_one_that_overlaps_does() {
    let whole = packet(48, 1);
    let mut reassembly = Reassembly::default();
    for range in [0..16, 0..16, 32..48, 32..48] {
        assert_eq!(reassembly.take_v4(Instant::ZERO, &piece(&whole, range)), None);
    }
    assert!(reassembly.take_v4(Instant::ZERO, &piece(&whole, 16..32)).is_some());
    for second in [8..24, 0..24, 8..16] {
        let mut reassembly = Reassembly::default();
        reassembly.take_v4(Instant::ZERO, &piece(&whole, 0..16));
        assert_eq!(reassembly.take_v4(Instant::ZERO, &piece(&whole, second)), None);
        assert!(reassembly.packets.is_empty(), "the packet is dropped");
    }
}

#[test]
fn what_does_not_become_whole_is_forgotten_and_bounded() {
    let whole = packet(48, 1);
    let mut reassembly = Reassembly::default();
    reassembly.take_v4(Instant::ZERO, &piece(&whole, 0..16));
    reassembly.take_v4(Instant::ZERO, &piece(&whole, 16..32));
    let late = Instant::ZERO + PATIENCE;
    assert_eq!(reassembly.take_v4(late, &piece(&whole, 32..48)), None);
    for number in 0..=255 {
        reassembly.take_v4(late, &piece(&packet(48, number), 32..48));
        assert!(reassembly.packets.len() <= PACKETS);
    }
    let whole = packet(48, 7);
    for range in [0..16, 16..32, 32..48] {
        let end = range.end;
        let done = reassembly.take_v4(late, &piece(&whole, range));
        assert_eq!(done.is_some(), end == 48, "the flood has not locked it");
    }
}

#[test]
fn no_piece_leaves_the_packet() {
    let whole = packet(48, 1);
    let last = piece(&whole, 32..48);
    for length in 0..last.len() {
        drop(Reassembly::default().take_v4(Instant::ZERO, &last[..length]));
    }
    for place in 0..=u8::MAX {
        let mut far = last.clone();
        (far[20], far[21]) = (0x1f, place);
        Ipv4Packet::new_unchecked(&mut far[14..]).fill_checksum();
        drop(Reassembly::default().take_v4(Instant::ZERO, &far));
    }
}

/// A frame of IPv6 whose payload starts with `protocol`.
fn packet_v6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, u8::try_from(payload.len()).unwrap(), protocol, 64]);
    frame.extend([0xfd; 32]);
    frame.extend(payload);
    frame
}

#[test]
fn extension_headers_are_taken_off() {
    let udp = [1, 2, 3, 4, 0, 8, 0, 0];
    let options = [PROTOCOL_OPTIONS, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 5, 2, 0, 0];
    let frame = packet_v6(PROTOCOL_HOP_BY_HOP, &[&options[..], &udp].concat());
    assert_eq!(Reassembly::default().take_v6(Instant::ZERO, &frame), Some(packet_v6(17, &udp)));
    let unknown = [17, 0, 0x80, 4, 0, 0, 0, 0];
    let frame = packet_v6(PROTOCOL_OPTIONS, &[&unknown[..], &udp].concat());
    assert_eq!(Reassembly::default().take_v6(Instant::ZERO, &frame), None);
    for length in 0..frame.len() {
        drop(Reassembly::default().take_v6(Instant::ZERO, &frame[..length]));
    }
}

#[test]
fn pieces_of_ipv6_are_put_together() {
    let mut reassembly = Reassembly::default();
    let first = packet_v6(PROTOCOL_FRAGMENT, &[17, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 0, 12, 0, 0]);
    let last = packet_v6(PROTOCOL_FRAGMENT, &[17, 0, 0, 8, 0, 0, 0, 9, 5, 6, 7, 8]);
    assert_eq!(reassembly.take_v6(Instant::ZERO, &last), None);
    let whole = packet_v6(17, &[1, 2, 3, 4, 0, 12, 0, 0, 5, 6, 7, 8]);
    assert_eq!(reassembly.take_v6(Instant::ZERO, &first), Some(whole));
}

#[test]
fn as_many_packets_as_there_is_room_for_all_become_whole() {
    let mut reassembly = Reassembly::default();
    let wholes: Vec<_> = (0..).map(|number| packet(32, number)).take(PACKETS).collect();
    for whole in &wholes {
        assert_eq!(reassembly.take_v4(Instant::ZERO, &piece(whole, 0..16)), None);
    }
    for whole in &wholes {
        assert_eq!(reassembly.take_v4(Instant::ZERO, &piece(whole, 16..32)).as_ref(), Some(whole));
    }
}

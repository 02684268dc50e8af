//! The short way gives what the whole stack gives.

use super::*;
use crate::net::tests::wire::Random;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, Ipv4Packet};

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NEXT: [u8; 6] = [2, 0, 0, 0, 0, 2];
const TUPLE: Tuple = Tuple {
    local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    remote: IpAddr::V4(Ipv4Addr::new(192, 168, 255, 254)),
    local_port: 80,
    remote_port: 0xfffe,
};

fn segment(random: &mut Random, payload: &[u8]) -> TcpRepr<'static> {
    let controls = [TcpControl::None, TcpControl::Psh, TcpControl::Fin, TcpControl::Syn, TcpControl::Rst];
    let number = |random: &mut Random| TcpSeqNumber(i32::from_le_bytes(bytes(random.next())));
    let mut segment = TcpRepr {
        src_port: TUPLE.local_port,
        dst_port: TUPLE.remote_port,
        control: controls[random.below(controls.len())],
        seq_number: number(random),
        ack_number: (!random.one_in(8)).then(|| number(random)),
        window_len: u16::from_le_bytes(bytes(random.next())),
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: payload.to_vec().leak(),
    };
    if random.one_in(3) {
        segment.timestamp = Some(TcpTimestampRepr::new(u32::from_le_bytes(bytes(random.next())), 7));
    }
    if random.one_in(6) {
        segment.sack_ranges[0] = Some((1, 0xffff_fff0));
    }
    if segment.control == TcpControl::Syn {
        (segment.max_seg_size, segment.window_scale) = (Some(1460), Some(7));
    }
    segment
}

fn bytes<const N: usize>(number: u64) -> [u8; N] {
    *number.to_le_bytes().first_chunk().unwrap()
}

/// Writes a frame by way of the whole stack.
fn emit(segment: &TcpRepr<'_>, from: [u8; 6], to: [u8; 6], tuple: Tuple, hop_limit: u8) -> Vec<u8> {
    let mut frame = vec![0; frame_length(segment)];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_src_addr(EthernetAddress(from));
    ethernet.set_dst_addr(EthernetAddress(to));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let (IpAddr::V4(local), IpAddr::V4(remote)) = (tuple.local, tuple.remote) else { panic!("of IPv4") };
    let ip = Ipv4Repr {
        src_addr: local,
        dst_addr: remote,
        next_header: IpProtocol::Tcp,
        payload_len: segment.buffer_len(),
        hop_limit,
    };
    let checksums = ChecksumCapabilities::default();
    ip.emit(&mut Ipv4Packet::new_unchecked(ethernet.payload_mut()), &checksums);
    let (source, target) = (IpAddress::Ipv4(local), IpAddress::Ipv4(remote));
    segment.emit(&mut TcpPacket::new_unchecked(&mut frame[TCP_START..]), &source, &target, &checksums);
    frame
}

/// Reads a frame by way of the whole stack, which lies less far in: what is not Ethernet is looked at here.
fn parse(frame: &[u8]) -> Option<(IpRepr, TcpRepr<'_>)> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let is_ours =
        ethernet.dst_addr() == EthernetAddress(OWN) && ethernet.ethertype() == EthernetProtocol::Ipv4;
    let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    let ip = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).ok()?;
    let addresses = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
    let is_tcp = ip.next_header == IpProtocol::Tcp && packet.frag_offset() == 0 && !packet.more_frags();
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let segment =
        TcpRepr::parse(&segment, &addresses.0, &addresses.1, &ChecksumCapabilities::ignored()).ok()?;
    (is_ours && is_tcp).then_some((IpRepr::Ipv4(ip), segment))
}

#[test]
fn what_is_written_is_what_the_stack_writes() {
    let mut random = Random(1);
    for round in 0..4000 {
        let payload: Vec<u8> = (0..random.below(70)).map(|_| bytes::<1>(random.next())[0]).collect();
        let segment = segment(&mut random, &payload);
        let path = Path::new(OWN, NEXT, PROTOCOL_TCP, TUPLE, 0, Instant::ZERO).unwrap();
        let hop_limit = bytes::<1>(random.next())[0].max(1);
        let expected = emit(&segment, OWN, NEXT, TUPLE, hop_limit);
        let mut frame = vec![0xa5; frame_length(&segment)];
        path.write(hop_limit, &segment, Checksums::Stack, &mut frame);
        assert_eq!(frame, expected, "round {round}: {segment:?}");
        let (mut begun, mut expected) = (vec![0xa5; frame.len()], expected);
        path.write(hop_limit, &segment, Checksums::Device, &mut begun);
        checksum::begin(&mut expected);
        assert_eq!(begun, expected, "round {round}: {segment:?}");
    }
}

#[test]
fn what_is_read_is_what_the_stack_reads() {
    let mut random = Random(2);
    let back = Tuple {
        local: TUPLE.remote,
        remote: TUPLE.local,
        local_port: TUPLE.remote_port,
        remote_port: TUPLE.local_port,
    };
    let mut taken = 0;
    for round in 0..20_000 {
        let payload = vec![7; random.below(40)];
        let segment = segment(&mut random, &payload);
        let mut frame = emit(&segment, NEXT, OWN, back, 64);
        frame.resize(frame.len() + random.below(3) * 5, 0);
        for _ in 0..random.below(3) {
            let place = random.below(frame.len().min(HEADERS + 14));
            frame[place] ^= 1 << random.below(8);
            if random.one_in(2) {
                mend(&mut frame);
            }
        }
        if random.one_in(10) {
            frame.truncate(random.below(frame.len()));
        }
        if let Some(short) = read(OWN, &frame) {
            taken += 1;
            assert_eq!(Some(short), parse(&frame), "round {round}: {frame:02x?}");
        }
    }
    assert!(taken > 3000, "only {taken} segments went the short way");
}

/// Makes the checksum of the IPv4 header right, so that not all that is odd is refused for it.
fn mend(frame: &mut [u8]) {
    if let Ok(mut packet) = Ipv4Packet::new_checked(&mut frame[ETHERNET_HEADER..]) {
        packet.fill_checksum();
    }
}

#[test]
fn segments_of_an_open_connection_go_the_short_way() {
    let mut random = Random(3);
    for payload in [&b""[..], b"x", &[1; 1460]] {
        for timestamp in [None, Some(TcpTimestampRepr::new(1, 2))] {
            for control in [TcpControl::None, TcpControl::Psh, TcpControl::Fin] {
                let mut segment = segment(&mut random, payload);
                segment = TcpRepr {
                    ack_number: Some(TcpSeqNumber(5)),
                    sack_ranges: [None; 3],
                    max_seg_size: None,
                    window_scale: None,
                    control,
                    timestamp,
                    ..segment
                };
                let mut frame = emit(&segment, NEXT, OWN, TUPLE, 64);
                if timestamp.is_some() {
                    // Where the others put it: behind two words of padding.
                    frame[54..66].copy_from_slice(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
                }
                assert_eq!(read(OWN, &frame).map(|(_, short)| short), Some(segment));
                assert_eq!(read(NEXT, &frame), None);
            }
        }
    }
}

#[test]
fn a_path_ends_with_its_time_and_with_the_table_it_was_made_from() {
    let path = Path::new(OWN, NEXT, PROTOCOL_TCP, TUPLE, 3, Instant::ZERO).unwrap();
    assert!(path.is_valid(3, Instant::from_secs(3)));
    assert!(!path.is_valid(4, Instant::from_secs(3)));
    assert!(!path.is_valid(3, Instant::from_secs(4)));
}

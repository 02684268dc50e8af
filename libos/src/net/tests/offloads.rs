//! Devices that do a part of the work: cards of the tests' own that cut segments and write checksums, as virtio has it.

use super::wire::{PLAN, Random, SERVER, Side, World, device_with, read, write};
use crate::net::checksum::{TCP_CHECKSUM, is_right};
use crate::net::connection::Received;
use crate::net::device::{Capabilities, Checksums, Finish, TcpPlace};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::net::SocketAddrV4;
use core::num::NonZeroUsize;
use smoltcp::time::Duration;

/// What a device of the tests does for the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offloads {
    /// Nothing.
    None,
    /// It writes checksums.
    Checksums,
    /// It cuts frames of up to so many bytes, and writes checksums.
    Cuts(usize),
}

impl Offloads {
    pub(crate) fn capabilities(self, address: [u8; 6]) -> Capabilities {
        let checksums = if self == Self::None { Checksums::Stack } else { Checksums::Device };
        let cuts_ipv4 = match self {
            Self::Cuts(limit) => NonZeroUsize::new(limit),
            _ => None,
        };
        Capabilities { address, mtu: 1500, checksums, cuts_ipv4, cuts_ipv6: cuts_ipv4 }
    }

    /// Does what is left to do for a frame, and puts what becomes of it on the wire.
    pub(crate) fn finish(self, mut frame: Vec<u8>, finish: Finish, wire: &mut Vec<Vec<u8>>) {
        match finish {
            Finish::Nothing => wire.push(frame),
            Finish::Checksum(place) => {
                assert_ne!(self, Self::None);
                assert!(frame.len() <= 1514);
                write_checksum(&mut frame, place);
                wire.push(frame);
            }
            Finish::Cut(place, size) => {
                let Self::Cuts(limit) = self else { panic!("nobody said that it cuts") };
                assert!(frame.len() <= limit);
                wire.extend(cut(&frame, place, usize::from(size.get())));
            }
        }
    }
}

/// Goes on from the sum of the pseudo-header.
fn write_checksum(frame: &mut [u8], place: TcpPlace) {
    let start = usize::from(place.start);
    let checksum = !fold(sum(&frame[start..]));
    frame[start + TCP_CHECKSUM..start + TCP_CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
}

/// Writes the checksum of the IPv4 header.
fn write_header_checksum(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let checksum = !fold(sum(&frame[14..34]));
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
}

/// Cuts a segment over IPv4.
fn cut(frame: &[u8], place: TcpPlace, size: usize) -> Vec<Vec<u8>> {
    let (start, data) = (usize::from(place.start), usize::from(place.data));
    assert!(frame.len() - data > size, "there is something to cut");
    let number = u32::from_be_bytes(frame[start + 4..start + 8].try_into().unwrap());
    let last = (frame.len() - data - 1) / size;
    let piece = |(index, bytes): (usize, &[u8])| {
        let mut piece = frame[..data].to_vec();
        piece.extend_from_slice(bytes);
        let total = u16::try_from(piece.len() - 14).unwrap();
        piece[16..18].copy_from_slice(&total.to_be_bytes());
        write_header_checksum(&mut piece);
        let offset = u32::try_from(index * size).unwrap();
        piece[start + 4..start + 8].copy_from_slice(&number.wrapping_add(offset).to_be_bytes());
        if index != last {
            // Neither the end nor a push before the last piece.
            piece[start + 13] &= !0x09;
        }
        // The sum so far holds the length of the whole segment (virtio 1.2, 5.1.6.2).
        let so_far = u16::from_be_bytes(piece[start + 16..start + 18].try_into().unwrap());
        let whole = u32::try_from(frame.len() - start).unwrap();
        let part = u32::try_from(piece.len() - start).unwrap();
        let so_far = fold(u32::from(so_far) + u32::from(!fold(whole)) + part);
        piece[start + 16..start + 18].copy_from_slice(&so_far.to_be_bytes());
        write_checksum(&mut piece, place);
        piece
    };
    frame[data..].chunks(size).enumerate().map(piece).collect()
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(0, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))
    })
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}

fn bytes(count: usize) -> Vec<u8> {
    let mut random = Random(9);
    (0..count).map(|_| random.next().to_le_bytes()[3]).collect()
}

/// Sends `all` from the server to the client; `fate` decides about frames. Returns how many frames crossed the wire.
fn transfer(offloads: Offloads, all: &[u8], loses_one_in: Option<u64>) -> usize {
    let devices = [device_with(1, offloads), device_with(2, offloads)];
    let mut world = World::with_devices(PLAN, devices);
    let mut random = Random(3);
    let frames = Rc::new(Cell::new(0));
    let counter = frames.clone();
    world.fate = Box::new(move |frame| {
        assert!(frame.len() <= 1514, "the wire carries no more");
        assert!(is_right(frame), "a checksum is wrong");
        counter.set(counter.get() + 1);
        let is_lost = loses_one_in.is_some_and(|count| random.one_in(count));
        if is_lost { vec![] } else { vec![Duration::from_micros(100)] }
    });
    let (client, server) = world.connect(80);
    let (mut sent, mut received) = (0, Vec::new());
    world.run_until(Duration::from_secs(120), |world| {
        sent += write(world.shard(Side::Server).stack(), server, &all[sent..]);
        while let Received::Bytes(piece) = read(world.shard(Side::Client).stack(), client) {
            received.extend_from_slice(&piece);
        }
        received.len() >= all.len()
    });
    assert!(received == all, "the bytes arrive as they were sent");
    frames.get()
}

#[test]
fn the_same_bytes_arrive_whoever_cuts_them_and_sums_them_up() {
    let all = bytes(500_000);
    for offloads in [
        Offloads::None,
        Offloads::Checksums,
        Offloads::Cuts(4434),
        Offloads::Cuts(16_114),
        Offloads::Cuts(64_294),
    ] {
        let frames = transfer(offloads, &all, None);
        assert!(frames >= all.len() / 1460, "{offloads:?}: {frames} frames");
        transfer(offloads, &all, Some(40));
    }
}

#[test]
fn a_large_segment_to_ourselves_stays_whole() {
    let mut world =
        World::with_devices(PLAN, [1, 2].map(|number| device_with(number, Offloads::Cuts(64_294))));
    let stack = world.server.stack();
    let address = SocketAddrV4::new(SERVER, 80);
    let (listener, _) = stack.listen(address, 8).unwrap();
    let client = stack.connect(address).unwrap();
    world.settle();
    let (server, _) = world.server.stack().accept(listener).unwrap().unwrap();
    let all = bytes(200_000);
    let (mut sent, mut received) = (0, Vec::new());
    for _ in 0..100 {
        let stack = world.server.stack();
        sent += write(stack, client, &all[sent..]);
        while let Received::Bytes(piece) = read(stack, server) {
            received.extend_from_slice(&piece);
        }
        world.settle();
    }
    assert!(received == all);
}

/// A lone large frame is more than two segments: nobody waits for another before it is acknowledged (RFC 9293, 3.8.6.3).
#[test]
fn a_large_frame_is_acknowledged_at_once() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    world.run_for(Duration::from_millis(100));
    let merged = Rc::new(RefCell::new(Vec::<Vec<u8>>::new()));
    let kept = merged.clone();
    // Nothing arrives from now on but what the test makes of it.
    world.fate = Box::new(move |frame| {
        kept.borrow_mut().push(frame.clone());
        vec![]
    });
    write(world.client.stack(), client, &bytes(5 * 1460));
    world.settle();
    let frames: Vec<Vec<u8>> = core::mem::take(&mut merged.borrow_mut());
    let all = bytes(5 * 1460);
    let mut large = frames[0].clone();
    assert_eq!(large[54..], all[..1460], "the client sends a whole segment first");
    large.extend_from_slice(&all[1460..]);
    let total = u16::try_from(large.len() - 14).unwrap();
    large[16..18].copy_from_slice(&total.to_be_bytes());
    write_header_checksum(&mut large);
    world.server.device().incoming.vouch(large);
    world.settle();
    let answers: Vec<Vec<u8>> = core::mem::take(&mut merged.borrow_mut());
    assert!(!answers.is_empty(), "the acknowledgement does not wait for the clock");
    assert_eq!(read(world.server.stack(), server), Received::Bytes(all));
}

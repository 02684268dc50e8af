//! Segments that nobody should send: outside the window, over each other, with options that make no sense.

use super::peer::{Peer, exchange, work};
use super::segment::{ACK, FIN, PSH, SYN, Segment, arp_reply};
use super::wire::{SERVER, Side, World, read, receive, send, settings, write};
use crate::net::connection::{ConnectionId, Received};
use crate::net::error::Error;
use crate::net::listener::ListenerId;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::time::Duration;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// A host with a listener, and a connection to a peer that is played by hand.
fn connected(peer: &mut Peer) -> (World, ListenerId, ConnectionId) {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 8).unwrap();
    peer.open(&mut world.server, world.now);
    let (id, _) = world.server.stack().accept(listener).unwrap().expect("it is open");
    (world, listener, id)
}

#[test]
fn what_lies_outside_the_window_is_answered_and_not_taken() {
    let mut peer = Peer::new(99, 80);
    let (mut world, _, id) = connected(&mut peer);
    for offset in [1 << 15, 1 << 16, 1 << 20, 1 << 31, u32::MAX - (1 << 17), u32::MAX - 100] {
        for flags in [ACK, ACK | PSH, ACK | FIN] {
            let mut segment = peer.segment(flags, b"outside");
            segment.sequence = segment.sequence.wrapping_add(offset);
            peer.heard.clear();
            peer.tell(&mut world.server, world.now, &segment);
            assert_eq!(peer.heard, [ACK], "offset {offset:#x}");
            assert_eq!(read(world.server.stack(), id), Received::Nothing);
        }
    }
    peer.say(&mut world.server, world.now, ACK | PSH, b"inside");
    assert_eq!(read(world.server.stack(), id), Received::Bytes(b"inside".to_vec()));
}

#[test]
fn what_acknowledges_too_much_is_not_believed() {
    let mut peer = Peer::new(99, 80);
    let (mut world, _, id) = connected(&mut peer);
    write(world.server.stack(), id, b"answer");
    for ahead in [7, 100, 1 << 20, 1 << 30] {
        let mut segment = peer.segment(ACK, b"bad");
        segment.acknowledged = segment.acknowledged.wrapping_add(ahead);
        peer.tell(&mut world.server, world.now, &segment);
        assert_eq!(read(world.server.stack(), id), Received::Nothing);
    }
    peer.say(&mut world.server, world.now, ACK, b"good");
    assert_eq!(peer.received, 6);
    assert_eq!(read(world.server.stack(), id), Received::Bytes(b"good".to_vec()));
}

#[test]
fn segments_over_each_other_give_one_stream() {
    let text: Vec<u8> = (0..=255).collect();
    let pieces = [(200, 256), (100, 150), (120, 210), (90, 130), (0, 50), (10, 20), (40, 101), (0, 256)];
    let mut peer = Peer::new(99, 80);
    let (mut world, _, id) = connected(&mut peer);
    let mut received = Vec::new();
    for (from, to) in pieces {
        let mut segment = peer.segment(ACK, &text[from..to]);
        segment.sequence = segment.sequence.wrapping_add(u32::try_from(from).unwrap());
        peer.tell(&mut world.server, world.now, &segment);
        if let Received::Bytes(bytes) = read(world.server.stack(), id) {
            received.extend(bytes);
        }
    }
    assert_eq!(received, text);
}

#[test]
fn an_end_before_all_bytes_are_here_ends_nothing_early() {
    let mut peer = Peer::new(99, 80);
    let (mut world, _, id) = connected(&mut peer);
    let mut end = peer.segment(ACK | FIN, b"world");
    end.sequence = end.sequence.wrapping_add(6);
    peer.tell(&mut world.server, world.now, &end);
    assert_eq!(read(world.server.stack(), id), Received::Nothing);
    peer.say(&mut world.server, world.now, ACK, b"hello ");
    let mut text = Vec::new();
    if let Received::Bytes(bytes) = read(world.server.stack(), id) {
        text.extend(bytes);
    }
    if let Received::Bytes(bytes) = read(world.server.stack(), id) {
        text.extend(bytes);
    }
    assert_eq!(text, b"hello world");
    assert_eq!(read(world.server.stack(), id), Received::End, "the end was kept");
}

#[test]
fn a_closed_window_is_probed_until_it_opens() {
    let mut peer = Peer::new(99, 80);
    peer.window = 0;
    let (mut world, _, id) = connected(&mut peer);
    assert_eq!(write(world.server.stack(), id, &[7; 1500]), 1500);
    let (start, first) = (world.now, peer.expected);
    let mut probes = 0;
    while world.now < start + SECONDS(100) {
        for frame in work(&mut world.server, world.now) {
            peer.heard.clear();
            let expected = peer.expected;
            peer.hear(&frame);
            // It does not fit, so it is answered and forgotten.
            peer.expected = expected;
            probes += peer.heard.len();
            peer.say(&mut world.server, world.now, ACK, &[]);
        }
        let next = world.server.deadline(world.now).expect("it is asked again");
        world.now = next.max(world.now + Duration::from_micros(1));
    }
    assert!((4..40).contains(&probes), "{probes} probes");
    peer.window = 8192;
    // The window opens, but nobody hears of it until the next probe.
    for _ in 0..100 {
        for frame in work(&mut world.server, world.now) {
            peer.hear(&frame);
        }
        peer.say(&mut world.server, world.now, ACK, &[]);
        let Some(next) = world.server.deadline(world.now) else { break };
        world.now = next.max(world.now + Duration::from_micros(1));
    }
    assert_eq!(peer.expected.wrapping_sub(first), 1500);
}

#[test]
fn each_side_may_close_and_still_read() {
    for first in [Side::Client, Side::Server] {
        let mut world = World::new();
        let (client, server) = world.connect(80);
        let (closes, stays) = match first {
            Side::Client => ((Side::Client, client), (Side::Server, server)),
            Side::Server => ((Side::Server, server), (Side::Client, client)),
        };
        write(world.shard(closes.0).stack(), closes.1, b"all");
        world.shard(closes.0).stack().close_sending(closes.1).unwrap();
        world.run_for(SECONDS(1));
        assert_eq!(read(world.shard(stays.0).stack(), stays.1), Received::Bytes(b"all".to_vec()));
        assert_eq!(read(world.shard(stays.0).stack(), stays.1), Received::End);
        assert_eq!(send(world.shard(closes.0).stack(), closes.1, |_| (0, ())), Err(Error::Closed));
        // However late.
        world.run_for(SECONDS(3600));
        write(world.shard(stays.0).stack(), stays.1, b"late");
        world.run_for(SECONDS(1));
        assert_eq!(read(world.shard(closes.0).stack(), closes.1), Received::Bytes(b"late".to_vec()));
        world.shard(stays.0).stack().abandon(stays.1);
        world.run_for(SECONDS(1));
        let end = receive(world.shard(closes.0).stack(), closes.1, |_| (0, ()));
        assert_eq!(end, Ok(Received::End));
        world.shard(closes.0).stack().abandon(closes.1);
        world.run_for(SECONDS(30));
        assert_eq!(world.client.stack().connection_count(), 0);
        assert_eq!(world.server.stack().connection_count(), 0);
    }
}

#[test]
fn absurd_options_do_no_harm() {
    let mut absurd: Vec<Vec<u8>> = vec![
        vec![2, 4, 0, 0],     // a maximum segment size of nothing
        vec![2, 4, 0, 1],     // of one byte
        vec![2, 4, 255, 255], // of more than a packet
        vec![2, 0],           // without a length
        vec![2, 1],           // shorter than itself
        vec![2, 255],         // longer than the header
        vec![3, 3, 255],      // a window scale beyond 14
        vec![3, 3, 14],       // the greatest
        vec![1; 40],          // nothing, 40 times
        vec![0; 40],          // the end, 40 times
        vec![254; 40],        // experiments
        vec![2; 40],          // sizes of two bytes
        vec![8, 10, 255, 255, 255, 255, 0, 0, 0, 0],
        vec![8, 3, 1],     // half a timestamp
        vec![4, 2, 5, 34], // selective acknowledgements that are not there
    ];
    absurd.push([vec![5, 34], vec![255; 32]].concat());
    absurd.push([vec![5, 34], vec![0; 32]].concat());
    absurd.push([vec![5, 3], vec![9; 30]].concat());
    for options in &absurd {
        let mut world = World::new();
        let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 8).unwrap();
        let mut peer = Peer::new(99, 80);
        let now = world.now;
        exchange(&mut world.server, now, arp_reply(*peer.own.ip(), SERVER));
        peer.options.clone_from(options);
        peer.say(&mut world.server, now, SYN, &[]);
        peer.say(&mut world.server, now, ACK, &[]);
        peer.say(&mut world.server, now, ACK, b"hello");
        if let Some((id, _)) = world.server.stack().accept(listener).unwrap() {
            write(world.server.stack(), id, &[1; 4000]);
            world.run_for(SECONDS(1));
            peer.say(&mut world.server, world.now, ACK, b"more");
            world.server.stack().abandon(id);
        }
        // Whatever became of it, others are served, and it goes.
        world.server.stack().audit();
        let mut other = Peer::new(100, 80);
        other.open(&mut world.server, world.now);
        let (id, _) = world.server.stack().accept(listener).unwrap().expect("others are served");
        write(world.server.stack(), id, b"welcome");
        for frame in work(&mut world.server, world.now) {
            other.hear(&frame);
        }
        assert_eq!(other.received, 7, "{options:?}");
        world.server.stack().abandon(id);
        world.run_for(SECONDS(200));
        assert_eq!(world.server.stack().connection_count(), 0, "{options:?}");
    }
}

#[test]
fn a_connection_from_an_address_that_is_ours_no_more_is_given_up() {
    let mut peer = Peer::new(99, 80);
    let (mut world, _, id) = connected(&mut peer);
    let address = Ipv4Addr::new(10, 0, 0, 7);
    world.server.stack().configure(Some(&settings(address)));
    let mut reply = arp_reply(*peer.own.ip(), SERVER);
    reply[38..].copy_from_slice(&address.octets());
    exchange(&mut world.server, world.now, reply);
    // What it sends itself must not open a short way in.
    write(world.server.stack(), id, b"hello");
    assert!(work(&mut world.server, world.now).iter().all(|frame| Segment::read(frame).is_none()));
    peer.say(&mut world.server, world.now, ACK | PSH, b"more");
    assert_eq!(read(world.server.stack(), id), Received::Nothing);
}

/// A peer that answers for an hour, but takes nothing and does not close, after the program has written `bytes`.
fn hold_for_an_hour(window: u16, bytes: &[u8]) -> World {
    let mut peer = Peer::new(99, 80);
    let (mut world, _, id) = connected(&mut peer);
    peer.window = window;
    peer.say(&mut world.server, world.now, ACK, &[]);
    write(world.server.stack(), id, bytes);
    world.server.stack().abandon(id);
    for frame in work(&mut world.server, world.now) {
        peer.hear(&frame);
    }
    for _ in 0..3600 {
        world.run_for(SECONDS(1));
        peer.say(&mut world.server, world.now, ACK, &[]);
    }
    world
}

#[test]
fn nobody_holds_a_connection_for_ever_that_the_program_has_let_go_of() {
    for (window, bytes) in [(0, &b"hello"[..]), (8192, b"")] {
        let mut world = hold_for_an_hour(window, bytes);
        assert_eq!(world.server.stack().connection_count(), 0, "window {window}");
        world.server.stack().audit();
    }
}

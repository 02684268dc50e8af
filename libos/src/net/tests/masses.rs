//! Very many connections, and what is left of them: nothing.

use super::peer::{PEERS, Peer, exchange, work};
use super::segment::{ACK, FIN, SYN, arp_reply};
use super::wire::{SERVER, Side, World, read, write};
use crate::net::connection::{ConnectionId, Received};
use crate::net::listener::ListenerId;
use crate::net::pool::BufferPlan;
use alloc::vec::Vec;
use core::net::SocketAddrV4;
use smoltcp::time::Duration;
use std::println;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const MANY: usize = 10_000;

#[test]
fn ten_thousand_connections_leave_no_memory_behind() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 64).unwrap();
    let mut rounds = 0;
    let mut serve = |world: &mut World, count: usize| {
        for _ in 0..count {
            let (client, server) = open(world, listener);
            assert_eq!(answer(world, client, server), b"answer");
            // One side closes first, then the other, then both at once.
            rounds += 1;
            for side in match rounds % 3 {
                0 => [Some(Side::Client), None, Some(Side::Server)],
                1 => [Some(Side::Server), None, Some(Side::Client)],
                _ => [Some(Side::Client), Some(Side::Server), None],
            } {
                match side {
                    Some(Side::Client) => world.client.stack().abandon(client),
                    Some(Side::Server) => world.server.stack().abandon(server),
                    None => world.run_for(SECONDS(1)),
                }
            }
        }
        world.run_for(SECONDS(60));
        world.server.stack().audit();
        assert_eq!(world.client.stack().connection_count() + world.server.stack().connection_count(), 0);
        (world.client.stack().memory(), world.server.stack().memory())
    };
    let before = serve(&mut world, 1000);
    let after = serve(&mut world, 9000);
    assert_eq!(before, after, "memory of the client and the server");
}

#[test]
fn a_hundred_thousand_syns_leave_the_server_answering_others() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 64).unwrap();
    exchange(&mut world.server, world.now, arp_reply(PEERS, SERVER));
    let mut served = 0;
    for number in 0..100_000_u32 {
        // A SYN every 20 us, from ever new places.
        let port = u16::try_from(1024 + number % 60_000).unwrap();
        let mut syn = Peer::new(port, 80).segment(SYN, &[]);
        syn.sequence = number.wrapping_mul(2_654_435_761);
        world.server.device().incoming.0.push_back(syn.frame());
        world.run_for(Duration::from_micros(20));
        assert!(world.server.stack().connection_count() <= 64 + 20);
        if number % 10_000 == 5000 {
            world.client.stack().connect(SocketAddrV4::new(SERVER, 80)).unwrap();
        }
        if let Some((server, peer)) = world.server.stack().accept(listener).unwrap() {
            assert_ne!(peer.remote, PEERS);
            write(world.server.stack(), server, b"answer");
            world.server.stack().abandon(server);
            served += 1;
        }
    }
    assert_eq!(served, 10);
    world.server.stack().audit();
    world.run_for(SECONDS(120));
    assert_eq!(world.server.stack().connection_count(), 0);
}

#[test]
fn a_thousand_peers_that_vanish_are_forgotten() {
    let plan = BufferPlan { limit: 2000, ..super::wire::PLAN };
    let mut world = World::with_plan(plan);
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 64).unwrap();
    for number in 0..1000 {
        let mut peer = Peer::new(1024 + number, 80);
        peer.open(&mut world.server, world.now);
        let (id, _) = world.server.stack().accept(listener).unwrap().expect("it is open");
        write(world.server.stack(), id, b"answer");
        work(&mut world.server, world.now);
        world.server.stack().abandon(id);
    }
    assert_eq!(world.server.stack().connection_count(), 1000);
    world.run_for(SECONDS(120));
    assert_eq!(world.server.stack().connection_count(), 0);
    world.server.stack().audit();
}

#[test]
fn syns_from_hosts_that_are_not_there_leave_no_lists_behind() {
    let mut world = World::new();
    world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 16).unwrap();
    for number in 0..10_000 {
        let syn = Peer::new(1024 + number, 80).segment(SYN, &[]);
        exchange(&mut world.server, world.now, syn.frame());
    }
    world.server.stack().audit();
}

#[test]
fn one_connection_in_time_wait_keeps_no_others() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 16).unwrap();
    let mut close = |port, sequence| {
        let mut peer = Peer::new(port, 80);
        peer.sequence = sequence;
        peer.open(&mut world.server, world.now);
        let (id, _) = world.server.stack().accept(listener).unwrap().expect("it is open");
        world.server.stack().abandon(id);
        work(&mut world.server, world.now).iter().for_each(|frame| peer.hear(frame));
        peer.say(&mut world.server, world.now, FIN | ACK, &[]);
    };
    // The first one stays: its peer could say its last word again and again.
    close(1024, 1);
    for round in 0..4000 {
        close(1025, round << 16);
    }
    assert_eq!(world.server.stack().connection_count(), 2);
    world.server.stack().audit();
}

/// What ten thousand connections take that nothing happens on, each after a question and an answer.
#[test]
fn ten_thousand_idle_connections_take_ten_kibibytes_each() {
    let (mut world, _) = ten_thousand_answered(BufferPlan::for_memory(256 << 20));
    // A second later the buffers are as small as they get.
    world.run_for(SECONDS(3));
    let bytes = world.server.stack().connection_bytes() / MANY;
    println!("an idle connection takes {bytes} bytes");
    assert!(bytes <= 10_500, "each takes {bytes} bytes");
    assert_eq!(world.server.stack().connection_count(), MANY);
}

#[test]
fn a_connection_in_time_wait_takes_no_buffers() {
    let (mut world, mut open) = ten_thousand_answered(BufferPlan::for_memory(1 << 30));
    for (peer, id) in &mut open {
        world.server.stack().abandon(*id);
        work(&mut world.server, world.now).iter().for_each(|frame| peer.hear(frame));
        peer.say(&mut world.server, world.now, FIN | ACK, &[]);
    }
    world.server.stack().audit();
    assert_eq!(world.server.stack().connection_count(), MANY);
    let bytes = world.server.stack().connection_bytes() / MANY;
    println!("a connection in TIME_WAIT takes {bytes} bytes");
    assert!(bytes <= 2_200, "each takes {bytes} bytes");
}

#[test]
fn a_handshake_under_way_takes_no_buffers() {
    let mut world = World::with_plan(BufferPlan::for_memory(256 << 20));
    world.server.stack().listen(SocketAddrV4::new(SERVER, 80), MANY).unwrap();
    exchange(&mut world.server, world.now, arp_reply(PEERS, SERVER));
    for number in 0..2 * MANY {
        let port = u16::try_from(1024 + number).unwrap();
        exchange(&mut world.server, world.now, Peer::new(port, 80).segment(SYN, &[]).frame());
    }
    let count = world.server.stack().connection_count();
    assert!(count <= MANY, "{count} are held");
    let bytes = world.server.stack().connection_bytes() / count;
    println!("a handshake under way takes {bytes} bytes");
    assert!(bytes <= 2_200, "each takes {bytes} bytes");
}

/// Lets ten thousand peers connect, ask and be answered.
fn ten_thousand_answered(plan: BufferPlan) -> (World, Vec<(Peer, ConnectionId)>) {
    let mut world = World::with_plan(plan);
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 64).unwrap();
    let mut open = Vec::with_capacity(MANY);
    for number in 0..MANY {
        let mut peer = Peer::new(u16::try_from(1024 + number).unwrap(), 80);
        peer.open(&mut world.server, world.now);
        let (id, _) = world.server.stack().accept(listener).unwrap().expect("it is open");
        peer.say(&mut world.server, world.now, ACK, b"question");
        assert_ne!(read(world.server.stack(), id), Received::Nothing);
        write(world.server.stack(), id, &[7; 1000]);
        work(&mut world.server, world.now).iter().for_each(|frame| peer.hear(frame));
        peer.say(&mut world.server, world.now, ACK, &[]);
        open.push((peer, id));
    }
    (world, open)
}

/// Opens a connection.
fn open(world: &mut World, listener: ListenerId) -> (ConnectionId, ConnectionId) {
    let client = world.client.stack().connect(SocketAddrV4::new(SERVER, 80)).unwrap();
    let mut server = None;
    world.run_until(SECONDS(30), |world| {
        server = world.server.stack().accept(listener).unwrap();
        server.is_some()
    });
    (client, server.unwrap().0)
}

/// Asks and gets an answer.
fn answer(world: &mut World, client: ConnectionId, server: ConnectionId) -> Vec<u8> {
    write(world.client.stack(), client, b"question");
    world.run_until(SECONDS(30), |world| read(world.server.stack(), server) != Received::Nothing);
    write(world.server.stack(), server, b"answer");
    let mut answer = Received::Nothing;
    world.run_until(SECONDS(30), |world| {
        answer = read(world.client.stack(), client);
        answer != Received::Nothing
    });
    let Received::Bytes(bytes) = answer else { panic!("no answer: {answer:?}") };
    bytes
}

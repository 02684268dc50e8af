use super::wire::{CLIENT, SERVER, SERVER_V6, World, read, receive, send, write};
use crate::net::connection::{ConnectionId, Received};
use crate::net::error::Error;
use crate::readiness::{Readiness, Token};
use crate::task::ThreadId;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use smoltcp::time::Duration;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn what_is_written_is_read_and_the_end_is_seen() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    assert_eq!(write(world.client.stack(), client, b"question"), 8);
    world.run_for(SECONDS(1));
    assert_eq!(read(world.server.stack(), server), Received::Bytes(b"question".to_vec()));
    assert_eq!(write(world.server.stack(), server, b"answer"), 6);
    world.server.stack().abandon(server);
    world.run_for(SECONDS(1));
    assert_eq!(read(world.client.stack(), client), Received::Bytes(b"answer".to_vec()));
    assert_eq!(read(world.client.stack(), client), Received::End);
    world.client.stack().abandon(client);
    world.run_for(SECONDS(30));
    assert_eq!(world.client.stack().connection_count(), 0);
    assert_eq!(world.server.stack().connection_count(), 0);
}

#[test]
fn a_megabyte_arrives_unchanged() {
    let sent: Vec<u8> =
        (0..1_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for address in [SERVER.into(), SERVER_V6.into(), world_link_local()] {
        let mut world = World::new();
        let (client, server) = world.connect_to(address, 80);
        assert!(transfer(&mut world, client, server, &sent) == sent);
    }
}

/// The server's address on the wire alone.
fn world_link_local() -> IpAddr {
    World::new().server.stack().link().link_local().address().into()
}

#[test]
fn one_side_may_close_and_still_read() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    write(world.client.stack(), client, b"all");
    world.client.stack().close_sending(client).unwrap();
    world.run_for(SECONDS(1));
    assert_eq!(read(world.server.stack(), server), Received::Bytes(b"all".to_vec()));
    assert_eq!(read(world.server.stack(), server), Received::End);
    assert_eq!(send(world.client.stack(), client, |_| (0, ())), Err(Error::Closed));
    write(world.server.stack(), server, b"late");
    world.run_for(SECONDS(1));
    assert_eq!(read(world.client.stack(), client), Received::Bytes(b"late".to_vec()));
}

#[test]
fn a_connection_to_ourselves_never_meets_the_wire() {
    let own = [Ipv4Addr::LOCALHOST.into(), SERVER.into(), Ipv6Addr::LOCALHOST.into(), SERVER_V6.into()];
    for address in own {
        let mut world = World::new();
        // The neighbours are asked whether somebody has the addresses.
        world.settle();
        world.fate = alloc::boxed::Box::new(|_| panic!("a frame is on the wire"));
        let stack = world.server.stack();
        let (listener, _) = stack.listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 80), 8).unwrap();
        let out = stack.connect(SocketAddr::new(address, 80)).unwrap();
        world.settle();
        let (inner, remote) = world.server.stack().accept(listener).unwrap().unwrap();
        assert_eq!(remote.remote, address);
        write(world.server.stack(), out, b"hello");
        world.settle();
        assert_eq!(read(world.server.stack(), inner), Received::Bytes(b"hello".to_vec()));
    }
}

#[test]
fn closing_with_unread_bytes_breaks_off() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    write(world.client.stack(), client, b"nobody reads this");
    world.run_for(SECONDS(1));
    world.server.stack().abandon(server);
    world.run_for(SECONDS(1));
    assert_eq!(receive(world.client.stack(), client, |_| (0, ())), Err(Error::Reset));
    assert_eq!(world.server.stack().connection_count(), 0);
}

#[test]
fn who_waits_is_woken_by_what_it_waits_for_alone() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    world.run_for(SECONDS(1));
    let mut woken = Vec::new();
    world.server.stack().take_woken(&mut woken);
    world.server.stack().wait_for(server, Readiness::READABLE, Token::Thread(ThreadId::from_bits(7)));
    write(world.server.stack(), server, b"x");
    world.run_for(SECONDS(1));
    woken.clear();
    world.server.stack().take_woken(&mut woken);
    assert!(woken.is_empty(), "an acknowledgement is nothing to read");
    write(world.client.stack(), client, b"y");
    world.run_for(SECONDS(1));
    world.server.stack().take_woken(&mut woken);
    assert_eq!(woken, [Token::Thread(ThreadId::from_bits(7))]);
}

#[test]
fn a_full_device_delays_and_loses_nothing() {
    let mut world = World::new();
    world.client.device().outgoing.room = 1;
    let (client, server) = world.connect(80);
    let sent: Vec<u8> = (0..50_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    assert!(transfer(&mut world, client, server, &sent) == sent);
}

#[test]
fn a_peer_that_vanishes_is_given_up() {
    let mut world = World::new();
    let (client, _server) = world.connect(80);
    world.run_for(SECONDS(1));
    world.fate = alloc::boxed::Box::new(|_| Vec::new());
    write(world.client.stack(), client, b"are you there?");
    world.run_for(SECONDS(300));
    assert_eq!(receive(world.client.stack(), client, |_| (0, ())), Err(Error::TimedOut));
    world.client.stack().abandon(client);
    world.run_for(SECONDS(100));
    assert_eq!(world.client.stack().connection_count(), 0);
}

#[test]
fn a_zero_window_opens_again() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    let mut written = 0;
    for _ in 0..100 {
        written += write(world.client.stack(), client, &[1; 4096]);
        world.run_for(Duration::from_millis(100));
    }
    assert!(written < 64 << 10, "the window is closed");
    let mut received = 0;
    world.run_until(SECONDS(60), |world| {
        if let Received::Bytes(bytes) = read(world.server.stack(), server) {
            received += bytes.len();
        }
        received == written
    });
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(SERVER, 80), 64).unwrap();
    for _ in 0..10_000 {
        let client = world.client.stack().connect(SocketAddrV4::new(SERVER, 80)).unwrap();
        let mut server = None;
        world.run_until(SECONDS(30), |world| {
            server = world.server.stack().accept(listener).unwrap();
            server.is_some()
        });
        let (server, peer) = server.unwrap();
        assert_eq!(peer.remote, CLIENT);
        write(world.client.stack(), client, b"x");
        world.run_until(SECONDS(30), |world| read(world.server.stack(), server) != Received::Nothing);
        world.server.stack().abandon(server);
        world.run_until(SECONDS(30), |world| read(world.client.stack(), client) == Received::End);
        world.client.stack().abandon(client);
    }
    world.run_for(SECONDS(60));
    assert_eq!(world.client.stack().connection_count(), 0);
    assert_eq!(world.server.stack().connection_count(), 0);
}

/// Sends `bytes` from the client to the server and returns what arrived by the end, or within a minute.
fn transfer(world: &mut World, client: ConnectionId, server: ConnectionId, bytes: &[u8]) -> Vec<u8> {
    let (mut written, mut received) = (0, Vec::new());
    world.run_until(SECONDS(60), |world| {
        written += write(world.client.stack(), client, &bytes[written..]);
        if let Received::Bytes(piece) = read(world.server.stack(), server) {
            received.extend(piece);
        }
        received.len() == bytes.len()
    });
    received
}

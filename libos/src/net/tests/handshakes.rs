use super::wire::{PLAN, SERVER, Side, World, receive};
use crate::net::config::Settings;
use crate::net::error::Error;
use crate::net::pool::BufferPlan;
use crate::net::stack::Progress;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::time::Duration;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// A SYN to port 80 of the server from a peer that does not exist.
fn syn(host: [u8; 2], port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, host[0], host[1], 10, 0, 0, 1]);
    let sum =
        frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x40, 0, 0, 0, 0, 0]);
    crate::net::checksum::complete(&mut frame);
    frame
}

#[test]
fn a_port_without_a_listener_refuses() {
    let mut world = World::new();
    let client = world.client.stack().connect(SocketAddrV4::new(SERVER, 81)).unwrap();
    assert_eq!(world.client.stack().connected(client), Ok(Progress::Waiting));
    world.run_for(SECONDS(1));
    assert_eq!(world.client.stack().connected(client), Err(Error::Refused));
    world.client.stack().abandon(client);
    assert_eq!(world.client.stack().connection_count(), 0);
}

#[test]
fn a_host_that_is_not_there_is_given_up() {
    let mut world = World::new();
    let client = world.client.stack().connect(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 77), 80)).unwrap();
    world.run_for(SECONDS(60));
    assert_eq!(world.client.stack().connected(client), Err(Error::HostUnreachable));
}

#[test]
fn a_port_is_listened_at_once() {
    let mut world = World::new();
    let stack = world.server.stack();
    let (first, _) = stack.listen(SocketAddrV4::new(ANY, 80), 8).unwrap();
    assert_eq!(stack.listen(SocketAddrV4::new(SERVER, 80), 8).unwrap_err(), Error::PortInUse);
    stack.stop_listening(first);
    assert!(stack.listen(SocketAddrV4::new(SERVER, 80), 8).is_ok());
    let (_, free) = stack.listen(SocketAddrV4::new(ANY, 0), 8).unwrap();
    assert!(free >= 49152);
    assert_eq!(
        stack.listen(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 9), 81), 8).unwrap_err(),
        Error::NotOurAddress
    );
}

#[test]
fn addresses_that_nobody_has_are_refused() {
    let mut world = World::new();
    for address in [ANY, Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        let refused = world.client.stack().connect(SocketAddrV4::new(address, 80));
        assert_eq!(refused.unwrap_err(), Error::BadAddress, "{address}");
    }
    let refused = world.client.stack().connect(SocketAddrV4::new(SERVER, 0));
    assert_eq!(refused.unwrap_err(), Error::BadAddress);
    let refused = world.client.stack().connect(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80));
    assert_eq!(refused.unwrap_err(), Error::Unreachable);
}

#[test]
fn a_flood_of_syns_does_not_shut_others_out() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(ANY, 80), 16).unwrap();
    for number in 0..100_000_u32 {
        let [_, high, low, _] = (number << 8).to_be_bytes();
        let frame = syn([high | 0x40, low], 1024 + (number % 1000) as u16);
        world.server.device().incoming.0.push_back(frame);
        let now = world.now;
        world.server.poll(now);
        world.server.device().outgoing.frames.clear();
        assert!(world.server.stack().connection_count() <= 17);
    }
    let client = world.client.stack().connect(SocketAddrV4::new(SERVER, 80)).unwrap();
    world.run_until(SECONDS(30), |world| world.server.stack().accept(listener).unwrap().is_some());
    assert_eq!(world.client.stack().connected(client), Ok(Progress::Done));
    world.run_for(SECONDS(120));
    assert_eq!(world.server.stack().connection_count(), 1);
}

#[test]
fn a_listener_that_goes_breaks_off_what_it_has() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(ANY, 80), 16).unwrap();
    let client = world.client.stack().connect(SocketAddrV4::new(SERVER, 80)).unwrap();
    world.run_for(SECONDS(1));
    world.server.stack().stop_listening(listener);
    world.run_for(SECONDS(1));
    assert_eq!(receive(world.client.stack(), client, |_| (0, ())), Err(Error::Reset));
    assert_eq!(world.server.stack().connection_count(), 0);
}

#[test]
fn memory_bounds_the_connections_and_time_wait_gives_way() {
    let plan = BufferPlan { limit: 4, ..PLAN };
    let mut world = World::with_plan(plan);
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(ANY, 80), 4).unwrap();
    for _ in 0..20 {
        let client = world.client.stack().connect(SocketAddrV4::new(SERVER, 80)).unwrap();
        let mut server = None;
        world.run_until(SECONDS(30), |world| {
            server = world.server.stack().accept(listener).unwrap();
            server.is_some()
        });
        // The server closes first, so TIME_WAIT is its own.
        world.server.stack().abandon(server.unwrap().0);
        world.run_for(Duration::from_millis(10));
        world.client.stack().abandon(client);
        world.run_for(Duration::from_millis(10));
        assert!(world.server.stack().connection_count() <= 4);
    }
}

#[test]
fn a_peer_may_open_anew_while_the_old_connection_lingers() {
    let mut world = World::new();
    let (listener, _) = world.server.stack().listen(SocketAddrV4::new(ANY, 80), 4).unwrap();
    let mut accepted = 0;
    world.server.device().incoming.0.push_back(syn([0x40, 1], 5555));
    let now = world.now;
    world.server.poll(now);
    accepted += usize::from(world.server.stack().accept(listener).unwrap().is_some());
    assert_eq!((accepted, world.server.stack().connection_count()), (0, 1));
    // The same peer again, by a repeated SYN: still one.
    world.server.device().incoming.0.push_back(syn([0x40, 1], 5555));
    world.server.poll(now);
    assert_eq!(world.server.stack().connection_count(), 1);
}

#[test]
fn spoofed_sources_are_dropped() {
    let mut world = World::new();
    world.server.stack().listen(SocketAddrV4::new(ANY, 80), 4).unwrap();
    let mut frame = syn([0, 1], 5555);
    world.shard(Side::Server).device().incoming.0.push_back(frame.clone());
    frame[26..30].copy_from_slice(&[127, 0, 0, 1]);
    world.shard(Side::Server).device().incoming.0.push_back(frame);
    let now = world.now;
    world.server.poll(now);
    world.server.poll(now);
    assert_eq!(world.server.stack().connection_count(), 0);
}

#[test]
fn a_connection_beyond_the_gateway_goes_to_the_gateway() {
    let mut world = World::new();
    let settings = Settings { gateway: Some(SERVER), ..super::wire::settings(super::wire::CLIENT) };
    world.client.stack().configure(Some(&settings));
    let asked = alloc::rc::Rc::new(core::cell::Cell::new(0));
    let counter = asked.clone();
    world.fate = Box::new(move |frame| {
        if frame[12..14] == [8, 6] && frame[38..42] == SERVER.octets() {
            counter.set(counter.get() + 1);
        }
        vec![Duration::from_micros(100)]
    });
    world.client.stack().connect(SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 80)).unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(asked.get(), 1);
}

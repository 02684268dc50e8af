use super::wire::{CLIENT, CLIENT_V6, SERVER, SERVER_V6, World, settings};
use crate::net::datagram::{DatagramId, Outcome};
use crate::net::error::Error;
use crate::net::stack::Stack;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use smoltcp::time::Duration;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn receive(stack: &mut Stack, id: DatagramId) -> Option<(Vec<u8>, SocketAddr)> {
    stack.with_datagram(id, |datagram| datagram.receive(|bytes, from| (bytes.to_vec(), from))).unwrap()
}

fn send_from_client(
    world: &mut World,
    id: DatagramId,
    to: impl Into<SocketAddr>,
    bytes: &[u8],
) -> Result<Outcome, Error> {
    let now = world.now;
    let (stack, transmitter) = world.client.sending().unwrap();
    stack.send_datagram(now, id, to, bytes, transmitter)
}

#[test]
fn a_datagram_arrives_though_the_address_is_asked_for_first() {
    let mut world = World::new();
    let (server, port) = world.server.stack().bind(SocketAddrV4::new(ANY, 7), 8192).unwrap();
    let (client, own) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    for text in ["one", "two", "three"] {
        let sent = send_from_client(&mut world, client, SocketAddrV4::new(SERVER, port), text.as_bytes());
        assert_eq!(sent, Ok(Outcome::Sent));
    }
    world.run_for(Duration::from_millis(10));
    for text in ["one", "two", "three"] {
        let (bytes, from) = receive(world.server.stack(), server).unwrap();
        assert_eq!((bytes.as_slice(), from), (text.as_bytes(), SocketAddrV4::new(CLIENT, own).into()));
    }
    assert_eq!(receive(world.server.stack(), server), None);
}

#[test]
fn a_conversation_goes_on_from_the_address_that_there_is_now() {
    let mut world = World::new();
    let (server, _) = world.server.stack().bind(SocketAddrV4::new(ANY, 7), 8192).unwrap();
    let (client, port) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    let answer = |world: &mut World| {
        let now = world.now;
        let (stack, transmitter) = world.server.sending().unwrap();
        stack.send_datagram(now, server, SocketAddrV4::new(CLIENT, port), b"answer", transmitter).unwrap();
        world.run_for(Duration::from_millis(10));
        receive(world.client.stack(), client).map(|(_, from)| from)
    };
    // Longer than a way is remembered.
    for _ in 0..20 {
        send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), b"question").unwrap();
        world.run_for(Duration::from_millis(400));
        assert_eq!(receive(world.server.stack(), server).unwrap().1, SocketAddrV4::new(CLIENT, port).into());
        assert_eq!(answer(&mut world), Some(SocketAddrV4::new(SERVER, 7).into()));
    }
    let moved = Ipv4Addr::new(10, 0, 0, 77);
    world.server.stack().configure(Some(&settings(moved)));
    send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), b"anyone?").unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(receive(world.server.stack(), server), None);
    assert_eq!(answer(&mut world), Some(SocketAddrV4::new(moved, 7).into()));
}

#[test]
fn a_dead_peer_does_not_hold_up_the_others() {
    let mut world = World::new();
    let (server, _) = world.server.stack().bind(SocketAddrV4::new(ANY, 7), 8192).unwrap();
    let (client, _) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), b"first").unwrap();
    world.run_for(Duration::from_millis(10));
    let dead = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 99), 7);
    send_from_client(&mut world, client, dead, b"anyone?").unwrap();
    send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), b"second").unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(receive(world.server.stack(), server).unwrap().0, b"first");
    assert_eq!(receive(world.server.stack(), server).unwrap().0, b"second");
    world.run_for(Duration::from_secs(10));
    let now = world.now;
    assert_eq!(world.client.deadline(now), None, "the dead peer is forgotten");
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    let mut world = World::new();
    let (server, _) = world.server.stack().bind(SocketAddrV4::new(ANY, 7), 8192).unwrap();
    let (one, port) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    let (other, _) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    let peer = SocketAddrV4::new(CLIENT, port);
    world.server.stack().with_datagram(server, |datagram| datagram.peer = Some(peer.into())).unwrap();
    send_from_client(&mut world, other, SocketAddrV4::new(SERVER, 7), b"other").unwrap();
    send_from_client(&mut world, one, SocketAddrV4::new(SERVER, 7), b"one").unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(receive(world.server.stack(), server).unwrap().0, b"one");
    assert_eq!(receive(world.server.stack(), server), None);
}

#[test]
fn a_datagram_to_ourselves_arrives() {
    let mut world = World::new();
    let (socket, port) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    send_from_client(&mut world, socket, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), b"me").unwrap();
    world.settle();
    let (bytes, from) = receive(world.client.stack(), socket).unwrap();
    assert_eq!((bytes.as_slice(), from), (&b"me"[..], SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()));
}

#[test]
fn a_broadcast_reaches_the_port() {
    let mut world = World::new();
    let (server, _) = world.server.stack().bind(SocketAddrV4::new(ANY, 7), 8192).unwrap();
    let (client, _) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    for address in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255)] {
        send_from_client(&mut world, client, SocketAddrV4::new(address, 7), b"all").unwrap();
        world.run_for(Duration::from_millis(10));
        assert_eq!(receive(world.server.stack(), server).unwrap().0, b"all");
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut world = World::new();
    let (client, port) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    let long = vec![0; 65_508];
    assert_eq!(
        send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), &long),
        Err(Error::TooLong)
    );
    assert_eq!(
        send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), &long[1..]),
        Ok(Outcome::Sent)
    );
    assert_eq!(
        send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 0), b""),
        Err(Error::BadAddress)
    );
    assert_eq!(send_from_client(&mut world, client, SocketAddrV4::new(ANY, 7), b""), Err(Error::BadAddress));
    assert_eq!(world.client.stack().bind(SocketAddrV4::new(ANY, port), 1).unwrap_err(), Error::PortInUse);
    world.client.stack().unbind(client);
    assert!(world.client.stack().bind(SocketAddrV4::new(ANY, port), 1).is_ok());
}

#[test]
fn datagrams_that_are_longer_than_a_packet_go_in_pieces() {
    let mut world = World::new();
    let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 7);
    let (server, _) = world.server.stack().bind(any, 65_535).unwrap();
    let (client, own) = world.client.stack().bind(any, 65_535).unwrap();
    let text: Vec<u8> = (0..65_507_u32).map(|number| (number % 251) as u8).collect();
    for to in [IpAddr::V4(SERVER), SERVER_V6.into(), IpAddr::V4(CLIENT), Ipv6Addr::LOCALHOST.into()] {
        for length in [1453, 1473, 1480, 2952, 2953, 9000, 65_507] {
            let sent = send_from_client(&mut world, client, SocketAddr::new(to, own), &text[..length]);
            assert_eq!(sent, Ok(Outcome::Sent));
            world.run_for(Duration::from_millis(10));
            let received = match to {
                IpAddr::V4(CLIENT) | IpAddr::V6(Ipv6Addr::LOCALHOST) => receive(world.client.stack(), client),
                _ => receive(world.server.stack(), server),
            };
            assert_eq!(received.map(|(bytes, _)| bytes).as_deref(), Some(&text[..length]), "{to} {length}");
        }
    }
}

#[test]
fn pieces_wait_for_room_in_the_device_and_routers_may_cut_them() {
    let mut world = World::new();
    let (client, _) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), b"who are you?").unwrap();
    world.run_for(Duration::from_millis(10));
    world.client.device().outgoing.room = 10;
    let long = vec![7; 65_507];
    let to = SocketAddrV4::new(SERVER, 7);
    assert_eq!(send_from_client(&mut world, client, to, &long), Ok(Outcome::Sent));
    assert_eq!(send_from_client(&mut world, client, to, &long), Ok(Outcome::Full), "one at a time");
    let mut frames = Vec::new();
    for _ in 0..5 {
        frames.append(&mut world.client.device().outgoing.frames);
        let now = world.now;
        world.client.poll(now);
        assert!(world.client.deadline(now).is_some() || frames.len() > 30);
    }
    frames.append(&mut world.client.device().outgoing.frames);
    assert_eq!(frames.len(), 65_515_usize.div_ceil(1480));
    let numbers: Vec<_> = frames.iter().map(|frame| &frame[18..20]).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "they have one number");
    for (place, frame) in frames.iter().enumerate() {
        assert_eq!(frame[20] & 0x40, 0, "they may be cut again");
        assert!(frame.len() <= 1514);
        let offset = usize::from(u16::from_be_bytes([frame[20], frame[21]]) & 0x1fff) * 8;
        assert_eq!(offset, place * 1480);
    }
}

#[test]
fn a_long_datagram_waits_for_the_address_like_any() {
    let mut world = World::new();
    let (server, _) = world.server.stack().bind(SocketAddrV4::new(ANY, 7), 65_535).unwrap();
    let (client, _) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 8192).unwrap();
    let long = vec![7; 30_000];
    send_from_client(&mut world, client, SocketAddrV4::new(SERVER, 7), &long).unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(receive(world.server.stack(), server).unwrap().0, long);
}

#[test]
fn datagrams_of_ipv6_arrive_too() {
    let mut world = World::new();
    let (server, port) =
        world.server.stack().bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 7), 8192).unwrap();
    let (client, own) =
        world.client.stack().bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0), 8192).unwrap();
    for (to, from) in [(SERVER_V6.into(), CLIENT_V6.into()), (IpAddr::V4(SERVER), IpAddr::V4(CLIENT))] {
        send_from_client(&mut world, client, SocketAddr::new(to, port), b"text").unwrap();
        world.run_for(Duration::from_millis(10));
        let received = receive(world.server.stack(), server);
        assert_eq!(received, Some((b"text".to_vec(), SocketAddr::new(from, own))));
    }
    let me = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), own);
    for me in [me, SocketAddr::new(CLIENT_V6.into(), own)] {
        send_from_client(&mut world, client, me, b"me").unwrap();
        world.settle();
        assert_eq!(receive(world.client.stack(), client), Some((b"me".to_vec(), me)));
    }
}

#[test]
fn a_socket_of_one_version_does_not_send_by_the_other() {
    let mut world = World::new();
    let (v4, _) = world.client.stack().bind(SocketAddrV4::new(ANY, 0), 64).unwrap();
    let (v6, _) = world.client.stack().bind(SocketAddr::new(CLIENT_V6.into(), 0), 64).unwrap();
    let to = |address| SocketAddr::new(address, 7);
    assert_eq!(send_from_client(&mut world, v4, to(SERVER_V6.into()), b""), Err(Error::BadAddress));
    assert_eq!(send_from_client(&mut world, v6, to(SERVER.into()), b""), Err(Error::BadAddress));
}

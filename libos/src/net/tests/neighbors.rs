//! Neighbours and routers of IPv6, and addresses by themselves.

use super::wire::{CLIENT_V6, PLAN, Queues, SERVER, SERVER_V6, World, device};
use crate::net::icmpv6::{self, Ends, HOP_LIMIT, Message, UNFORWARDED};
use crate::net::link::address_in;
use crate::net::shard::Shard;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};
use smoltcp::time::{Duration, Instant};

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);
const ROUTER_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
const NETWORK: [u8; 8] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 7];
const SERVER_OF_NAMES: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, 0x53);
const HOURS: u32 = 3600;

/// What a router tells: how long it is one, and how long its network holds.
fn advertisement(router: u16, network: u32) -> Vec<u8> {
    let mut body = Vec::from([icmpv6::ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0]);
    body.extend(router.to_be_bytes());
    body.extend([0; 8]);
    body.extend([3, 4, 64, 0xc0]);
    body.extend(network.to_be_bytes());
    body.extend(network.to_be_bytes());
    body.extend([0; 4]);
    body.extend(NETWORK);
    body.extend([0; 8]);
    body.extend([25, 3, 0, 0]);
    body.extend(network.to_be_bytes());
    body.extend(SERVER_OF_NAMES.octets());
    body
}

fn from_router(destination: Ipv6Addr, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    let to_hardware = icmpv6::group_hardware(destination);
    icmpv6::frame(
        Ends { hardware: ROUTER_HARDWARE, to_hardware, source: ROUTER, destination },
        hop_limit,
        body,
    )
}

/// A host that asks routers, alone on a wire.
struct Host {
    shard: Shard<Queues>,
    now: Instant,
}

impl Host {
    fn new() -> Self {
        let now = Instant::from_millis(1);
        let mut shard = Shard::new(device(5), PLAN, 5, now);
        shard.stack().start_v6(now);
        Self { shard, now }
    }

    fn hardware(&mut self) -> [u8; 6] {
        self.shard.stack().link().hardware()
    }

    /// Works for `duration` and returns what was sent.
    fn run(&mut self, duration: Duration) -> Vec<Vec<u8>> {
        let end = self.now + duration;
        while self.now < end {
            self.shard.poll(self.now);
            self.now += Duration::from_millis(50);
        }
        core::mem::take(&mut self.shard.device().outgoing.frames)
    }

    fn hear(&mut self, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.shard.device().incoming.0.push_back(frame);
        self.run(Duration::from_millis(100))
    }

    fn own(&mut self) -> Vec<Ipv6Addr> {
        self.shard.stack().link().v6().own.iter().map(|own| own.address()).collect()
    }
}

fn kinds(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().filter_map(|frame| Message::parse(frame)).map(|message| message.kind()).collect()
}

#[test]
fn routers_are_asked_until_one_answers() {
    let mut host = Host::new();
    let sent = kinds(&host.run(Duration::from_secs(4)));
    assert_eq!(sent.iter().filter(|kind| **kind == icmpv6::ROUTER_SOLICITATION).count(), 3);
    assert!(sent.contains(&icmpv6::NEIGHBOR_SOLICITATION), "the own address is asked for: {sent:?}");
    host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED, &advertisement(1800, HOURS)));
    let hardware = host.hardware();
    let link_local = host.shard.stack().link().link_local().address();
    assert_eq!(host.own(), [address_in(NETWORK, hardware), link_local]);
    assert_eq!(host.shard.stack().link().v6().gateway, Some(ROUTER));
    assert!(host.shard.stack().link().route(Ipv6Addr::new(0x2606, 1, 0, 0, 0, 0, 0, 1)).is_some());
    let sent = kinds(&host.run(Duration::from_secs(60)));
    assert!(!sent.contains(&icmpv6::ROUTER_SOLICITATION), "nobody asks any more: {sent:?}");
}

#[test]
fn silence_is_accepted() {
    let mut host = Host::new();
    let sent = kinds(&host.run(Duration::from_secs(120)));
    assert_eq!(sent.iter().filter(|kind| **kind == icmpv6::ROUTER_SOLICITATION).count(), 5);
    assert_eq!(host.shard.deadline(host.now), None);
    assert_eq!(host.own().len(), 1);
}

#[test]
fn what_a_router_tells_runs_out() {
    let mut host = Host::new();
    host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED, &advertisement(10, 3 * HOURS)));
    assert_eq!(host.own().len(), 2);
    host.run(Duration::from_secs(11));
    assert_eq!(host.shard.stack().link().v6().gateway, None);
    // A forged advertisement cannot take the address away at once.
    host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED, &advertisement(10, 1)));
    host.run(Duration::from_secs(60));
    assert_eq!(host.own().len(), 2);
    host.now += Duration::from_secs(2 * u64::from(HOURS));
    host.run(Duration::from_secs(1));
    assert_eq!(host.own().len(), 1);
}

#[test]
fn name_servers_hold_until_their_time_is_over() {
    let mut host = Host::new();
    let tell = |host: &mut Host, last: u16, lifetime: u32| {
        // A router's word without a network, with one name server.
        let mut body = Vec::from([icmpv6::ROUTER_ADVERTISEMENT, 0, 0, 0, 64, 0, 7, 8]);
        body.extend([0; 8]);
        if last > 0 {
            body.extend([25, 3, 0, 0]);
            body.extend(lifetime.to_be_bytes());
            body.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, last).octets());
        }
        host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED, &body));
    };
    let servers = |host: &mut Host| -> Vec<u16> {
        let servers = host.shard.stack().servers_v6().to_vec();
        servers.iter().map(|server| server.to_string().rsplit(':').next().unwrap().parse().unwrap()).collect()
    };
    tell(&mut host, 1, 100);
    tell(&mut host, 2, 50);
    // One that tells of none, and one that says again.
    tell(&mut host, 0, 0);
    tell(&mut host, 1, 200);
    assert_eq!(servers(&mut host), [1, 2]);
    host.run(Duration::from_secs(60));
    assert_eq!(servers(&mut host), [1]);
    tell(&mut host, 3, 40);
    tell(&mut host, 4, 60);
    tell(&mut host, 5, u32::MAX);
    assert_eq!(servers(&mut host), [1, 4, 5], "the one that goes first makes way");
    tell(&mut host, 4, 0);
    assert_eq!(servers(&mut host), [1, 5]);
}

#[test]
fn advertisements_from_afar_and_damaged_ones_are_ignored() {
    let mut host = Host::new();
    let whole = advertisement(1800, HOURS);
    host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED - 1, &whole));
    let mut outside = from_router(icmpv6::ALL_NODES, UNFORWARDED, &whole);
    outside[60] ^= 1;
    host.hear(outside);
    assert_eq!(host.own().len(), 1);
    for length in 8..whole.len() {
        host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED, &whole[..length]));
        let mut changed = whole.clone();
        changed[length] = 0xff;
        host.hear(from_router(icmpv6::ALL_NODES, UNFORWARDED, &changed));
    }
}

#[test]
fn an_address_that_somebody_has_is_given_up() {
    let mut host = Host::new();
    host.run(Duration::from_millis(100));
    let own = host.own()[0];
    let claim = icmpv6::neighbor_body(
        icmpv6::NEIGHBOR_ADVERTISEMENT,
        0x20,
        own,
        Some((icmpv6::OPTION_TARGET, ROUTER_HARDWARE)),
    );
    let late = from_router(icmpv6::ALL_NODES, UNFORWARDED, &claim);
    host.hear(late.clone());
    assert!(host.own().is_empty());
    let mut host = Host::new();
    host.run(Duration::from_secs(2));
    host.hear(late);
    assert_eq!(host.own(), [own], "after a second nobody can claim it");
}

#[test]
fn an_echo_request_is_answered_and_a_closed_port_is_told() {
    let mut world = World::new();
    let hardware = world.client.stack().link().hardware();
    let to_hardware = world.server.stack().link().hardware();
    let ends = Ends { hardware, to_hardware, source: CLIENT_V6, destination: SERVER_V6 };
    let request = icmpv6::frame(ends, HOP_LIMIT, &[icmpv6::ECHO_REQUEST, 0, 0, 0, 0, 1, 0, 2, 3, 4, 5]);
    world.server.device().incoming.0.push_back(request);
    let now = world.now;
    world.server.poll(now);
    let sent = world.server.device().outgoing.frames.clone();
    let answer =
        sent.iter().filter_map(|frame| Message::parse(frame)).find(|message| message.kind() == 129).unwrap();
    assert_eq!((answer.source, answer.destination), (SERVER_V6, CLIENT_V6));
    assert_eq!(answer.body[4..], [0, 1, 0, 2, 3, 4, 5]);

    let mut datagram = Vec::from(to_hardware);
    datagram.extend(hardware);
    datagram.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
    datagram.extend(CLIENT_V6.octets().into_iter().chain(SERVER_V6.octets()));
    datagram.extend([0, 7, 0, 9, 0, 8, 0, 0]);
    let packet = smoltcp::wire::Ipv6Packet::new_checked(&mut datagram[14..]).unwrap();
    let mut packet = packet;
    smoltcp::wire::UdpPacket::new_unchecked(packet.payload_mut())
        .fill_checksum(&CLIENT_V6.into(), &SERVER_V6.into());
    world.server.device().incoming.0.push_back(datagram);
    world.server.poll(now);
    let sent = &world.server.device().outgoing.frames;
    let told =
        sent.iter().filter_map(|frame| Message::parse(frame)).find(|message| message.kind() == 1).unwrap();
    assert_eq!((told.code(), told.destination), (4, CLIENT_V6));
}

#[test]
fn what_is_known_of_a_neighbor_already_changes_nothing() {
    let mut world = World::new();
    world.run_for(Duration::from_millis(10));
    let now = world.now;
    let mut tell = |address, hardware: u8| {
        let mut frame = super::segment::arp_reply(address, SERVER);
        (frame[11], frame[27]) = (hardware, hardware);
        super::peer::exchange(&mut world.server, now, frame);
        world.server.stack().link().generation()
    };
    let (first, second) = (Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 8));
    let before = tell(first, 1);
    assert_eq!(tell(first, 1), before);
    assert_eq!(tell(first, 1), before);
    assert_eq!(tell(first, 2), before + 1, "it has moved");
    assert_eq!(tell(second, 3), before + 2, "it is new");
    assert_eq!(tell(first, 2), before + 2);
}

#[test]
fn only_the_answer_that_it_waits_for_wakes_a_connection() {
    for address in [SERVER.into(), SERVER_V6.into()] {
        let mut world = World::new();
        world.run_for(Duration::from_millis(10));
        // Somebody else's question comes between the own one and its answer.
        let others =
            from_router(icmpv6::ALL_NODES, UNFORWARDED, &icmpv6::neighbor_body(135, 0, ROUTER, None));
        let mut copies = Vec::from([others.clone(), others]);
        let id = world.client.stack().connect(core::net::SocketAddr::new(address, 80)).unwrap();
        let now = world.now;
        world.client.poll(now);
        world.client.device().incoming.0.extend(copies.drain(..));
        world.client.poll(now);
        world.run_for(Duration::from_millis(10));
        assert_eq!(world.client.stack().connected(id), Err(crate::net::error::Error::Refused));
    }
}

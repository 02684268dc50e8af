use super::wire::{SERVER, World, device};
use crate::net::config::Settings;
use crate::net::shard::Shard;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, Ipv4Cidr};

const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);

/// The payload of a DHCP frame.
fn payload(frame: &[u8]) -> Option<&[u8]> {
    let is_dhcp = frame.len() > 42 && frame[12..14] == [8, 0] && frame[23] == 17 && frame[36..38] == [0, 67];
    is_dhcp.then(|| &frame[42..])
}

/// What a server answers to `request`.
fn answer(request: &[u8], router: Ipv4Addr) -> Vec<u8> {
    let packet = DhcpPacket::new_checked(request).unwrap();
    let asked = DhcpRepr::parse(&packet).unwrap();
    let message_type = match asked.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        _ => DhcpMessageType::Ack,
    };
    let given = DhcpRepr {
        message_type,
        your_ip: GIVEN,
        server_ip: SERVER,
        router: Some(router),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        server_identifier: Some(SERVER),
        requested_ip: None,
        client_identifier: None,
        parameter_request_list: None,
        max_size: None,
        lease_duration: Some(3600),
        dns_servers: Some([SERVER].into_iter().collect()),
        ..asked
    };
    let mut bytes = vec![0; given.buffer_len()];
    given.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
    datagram(SERVER, 67, GIVEN, 68, &bytes)
}

/// A frame with a UDP datagram without a checksum, for everybody.
pub(super) fn datagram(
    from: Ipv4Addr,
    from_port: u16,
    to: Ipv4Addr,
    to_port: u16,
    payload: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0]);
    frame.extend((28 + length).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    frame.extend(from.octets().into_iter().chain(to.octets()));
    let sum: u32 =
        frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    frame.extend(from_port.to_be_bytes().into_iter().chain(to_port.to_be_bytes()));
    frame.extend((8 + length).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    frame
}

/// A host that asks `server` for its address, for ten seconds.
fn configured(router: Ipv4Addr, mut lost: usize) -> Shard<super::wire::Queues> {
    let mut now = Instant::from_millis(1);
    let mut host = Shard::new(device(5), super::wire::PLAN, 5, now);
    host.stack().start_dhcp(now);
    for _ in 0..1000 {
        host.poll(now);
        let sent = core::mem::take(&mut host.device().outgoing.frames);
        for request in sent.iter().filter_map(|frame| payload(frame)) {
            if lost > 0 {
                lost -= 1;
            } else {
                host.device().incoming.0.push_back(answer(request, router));
            }
        }
        now += Duration::from_millis(10);
    }
    host
}

#[test]
fn an_address_comes_by_dhcp() {
    for lost in [0, 1, 3] {
        let mut host = configured(SERVER, lost);
        assert_eq!(host.stack().link().address(), Some(Ipv4Cidr::new(GIVEN, 24)), "{lost} lost");
        assert!(host.stack().link().route(Ipv4Addr::new(192, 0, 2, 1)).is_some());
    }
}

#[test]
fn a_gateway_that_is_no_host_is_ignored() {
    for router in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::UNSPECIFIED] {
        let mut host = configured(router, 0);
        assert_eq!(host.stack().link().address(), Some(Ipv4Cidr::new(GIVEN, 24)));
        assert!(host.stack().link().route(Ipv4Addr::new(192, 0, 2, 1)).is_none(), "{router}");
    }
}

#[test]
fn without_a_server_there_is_no_address() {
    let mut host = configured(SERVER, usize::MAX);
    assert_eq!(host.stack().link().address(), None);
}

#[test]
fn an_echo_request_is_answered() {
    let mut world = World::new();
    let settings = Settings { address: Ipv4Cidr::new(SERVER, 24), gateway: None, servers: Vec::new() };
    world.server.stack().configure(Some(&settings));
    // The client is known after it has asked for the server's address.
    let (socket, _) =
        world.client.stack().bind(core::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), 64).unwrap();
    let now = world.now;
    let (stack, transmitter) = world.client.sending().unwrap();
    stack.send_datagram(now, socket, core::net::SocketAddrV4::new(SERVER, 9), b"x", transmitter).unwrap();
    world.run_for(Duration::from_millis(10));
    let mut frame = datagram(super::wire::CLIENT, 0, SERVER, 0, &[0; 8]);
    frame[23] = 1;
    frame.truncate(34);
    frame.extend([8, 0, 0xf7, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let sum: u32 = {
        frame[24..26].fill(0);
        frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
    world.server.device().incoming.0.push_back(frame);
    let now = world.now;
    world.server.poll(now);
    let sent = &world.server.device().outgoing.frames;
    assert!(sent.iter().any(|frame| frame[23] == 1 && frame[34] == 0), "{sent:?}");
}

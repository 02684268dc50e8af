//! Errors that ICMP reports, true ones and forged ones.

use super::wire::{CLIENT, CLIENT_V6, SERVER, SERVER_V6, World, write};
use crate::net::error::Error;
use crate::net::icmpv6::{self, Ends, HOP_LIMIT};
use crate::net::stack::Progress;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::net::{Ipv4Addr, SocketAddr};
use smoltcp::time::Duration;
use smoltcp::wire::{Icmpv4Packet, Ipv4Packet};

/// What a router tells the sender of `frame`.
fn report(frame: &[u8], kind: u8, code: u8, value: u16) -> Vec<u8> {
    let quoted = &frame[14..frame.len().min(14 + 60)];
    let hardware: [u8; 6] = *frame.first_chunk().unwrap();
    let to_hardware: [u8; 6] = *frame[6..].first_chunk().unwrap();
    if frame[12..14] == [0x86, 0xdd] {
        let mut body = Vec::from([kind, code, 0, 0, 0, 0]);
        body.extend(value.to_be_bytes());
        body.extend(quoted);
        let ends = Ends { hardware, to_hardware, source: SERVER_V6, destination: CLIENT_V6 };
        return icmpv6::frame(ends, HOP_LIMIT, &body);
    }
    let mut report = Vec::from(to_hardware);
    report.extend(hardware);
    report.extend([8, 0, 0x45, 0]);
    report.extend(u16::try_from(28 + quoted.len()).unwrap().to_be_bytes());
    report.extend([0, 0, 0, 0, 64, 1, 0, 0]);
    report.extend(SERVER.octets().into_iter().chain(CLIENT.octets()));
    report.extend([kind, code, 0, 0, 0, 0]);
    report.extend(value.to_be_bytes());
    report.extend(quoted);
    Ipv4Packet::new_unchecked(&mut report[14..]).fill_checksum();
    Icmpv4Packet::new_unchecked(&mut report[34..]).fill_checksum();
    report
}

/// Addresses a report to all.
fn sent_to_others(mut report: Vec<u8>) -> Vec<u8> {
    if report[12..14] == [0x86, 0xdd] {
        let body = report.split_off(54);
        let (hardware, to_hardware) = (*report[6..].first_chunk().unwrap(), *report.first_chunk().unwrap());
        let ends = Ends { hardware, to_hardware, source: SERVER_V6, destination: icmpv6::ALL_NODES };
        return icmpv6::frame(ends, HOP_LIMIT, &body);
    }
    report[30..34].copy_from_slice(&[10, 0, 0, 255]);
    Ipv4Packet::new_unchecked(&mut report[14..]).fill_checksum();
    report
}

/// A world that swallows TCP, and the segments that were sent.
fn silent() -> (World, Rc<RefCell<Vec<Vec<u8>>>>) {
    let mut world = World::new();
    let sent = Rc::new(RefCell::new(Vec::new()));
    let taken = Rc::clone(&sent);
    world.fate = Box::new(move |frame| {
        let is_v4 = frame[12..14] == [8, 0];
        let is_v6 = frame[12..14] == [0x86, 0xdd] && frame[20] != 58;
        if is_v4 || is_v6 {
            taken.borrow_mut().push(frame.clone());
            return Vec::new();
        }
        Vec::from([Duration::from_micros(100)])
    });
    (world, sent)
}

#[test]
fn connecting_fails_at_once_with_what_is_reported() {
    let cases = [
        (SERVER.into(), 3, 0, Error::NetworkUnreachable),
        (SERVER.into(), 3, 1, Error::HostUnreachable),
        (SERVER.into(), 3, 3, Error::Refused),
        (SERVER.into(), 11, 0, Error::HostUnreachable),
        (SERVER_V6.into(), 1, 0, Error::NetworkUnreachable),
        (SERVER_V6.into(), 1, 3, Error::HostUnreachable),
        (SERVER_V6.into(), 1, 4, Error::Refused),
    ];
    for (address, kind, code, error) in cases {
        let (mut world, sent) = silent();
        let id = world.client.stack().connect(SocketAddr::new(address, 80)).unwrap();
        world.run_for(Duration::from_millis(10));
        let syn = sent.borrow()[0].clone();
        let mut forged = syn.clone();
        let sequence = if address.is_ipv4() { 34 + 4 } else { 54 + 4 };
        forged[sequence] ^= 0x40;
        world.client.device().incoming.0.push_back(report(&forged, kind, code, 0));
        world.settle();
        assert_eq!(world.client.stack().connected(id), Ok(Progress::Waiting), "a wrong number is forged");
        let to_others = sent_to_others(report(&syn, kind, code, 0));
        world.client.device().incoming.0.push_back(to_others);
        world.settle();
        assert_eq!(world.client.stack().connected(id), Ok(Progress::Waiting), "errors go to the sender");
        world.client.device().incoming.0.push_back(report(&syn, kind, code, 0));
        world.settle();
        assert_eq!(world.client.stack().connected(id), Err(error));
    }
}

#[test]
fn an_open_connection_outlives_a_report_and_sends_less_at_a_time() {
    for address in [SERVER.into(), SERVER_V6.into()] {
        let mut world = World::new();
        let (client, _server) = world.connect_to(address, 80);
        let longest = Rc::new(RefCell::new((Vec::new(), 0)));
        let seen = Rc::clone(&longest);
        world.fate = Box::new(move |frame| {
            let mut seen = seen.borrow_mut();
            if frame[..6] == [2, 0, 0, 0, 0, 1] && frame.len() > 1000 {
                *seen = (frame.clone(), frame.len());
            }
            Vec::from([Duration::from_micros(100)])
        });
        let bytes = [7; 4000];
        assert!(write(world.client.stack(), client, &bytes) > 2000);
        world.settle();
        let (frame, length) = longest.borrow().clone();
        assert_eq!(length, 1514);
        let (unreachable, too_big) = if address.is_ipv4() { ((3, 1), (3, 4)) } else { ((1, 3), (2, 0)) };
        for (kind, code) in [unreachable, too_big] {
            world.client.device().incoming.0.push_back(report(&frame, kind, code, 1300));
        }
        world.settle();
        world.run_for(Duration::from_secs(2));
        *longest.borrow_mut() = (Vec::new(), 0);
        write(world.client.stack(), client, &bytes);
        world.run_for(Duration::from_secs(2));
        assert_eq!(longest.borrow().1, 1300 + 14);
    }
}

#[test]
fn a_datagram_to_a_closed_port_is_told_to_a_connected_socket_once() {
    for address in [SERVER.into(), SERVER_V6.into()] {
        let mut world = World::new();
        let any = SocketAddr::new(core::net::Ipv6Addr::UNSPECIFIED.into(), 0);
        let (socket, _) = world.client.stack().bind(any, 512).unwrap();
        let (other, _) = world.client.stack().bind(any, 512).unwrap();
        let peer = SocketAddr::new(address, 9);
        world.client.stack().with_datagram(socket, |datagram| datagram.peer = Some(peer)).unwrap();
        for id in [socket, other] {
            let now = world.now;
            let (stack, transmitter) = world.client.sending().unwrap();
            stack.send_datagram(now, id, peer, b"anyone?", transmitter).unwrap();
        }
        world.run_for(Duration::from_millis(10));
        let stack = world.client.stack();
        assert_eq!(stack.take_datagram_error(socket), Err(Error::Refused));
        assert_eq!(stack.take_datagram_error(socket), Ok(()));
        assert_eq!(stack.take_datagram_error(other), Ok(()), "who has no peer is told nothing");
    }
}

#[test]
fn a_host_that_is_not_there_is_told_after_three_questions() {
    for address in [Ipv4Addr::new(10, 0, 0, 99).into(), "fd00::99".parse().unwrap()] {
        let mut world = World::new();
        let id = world.client.stack().connect(SocketAddr::new(address, 80)).unwrap();
        world.run_for(Duration::from_millis(2500));
        assert_eq!(world.client.stack().connected(id), Ok(Progress::Waiting));
        world.run_for(Duration::from_secs(2));
        assert_eq!(world.client.stack().connected(id), Err(Error::HostUnreachable));
    }
}

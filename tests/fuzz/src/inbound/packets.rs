//! Packets that are right but for what the input makes of them.

use crate::input::Input;
use crate::net::tests::peer::PEERS;
use crate::net::tests::segment::{hardware, ipv4_header};
use crate::net::tests::wire::SERVER;
use std::net::Ipv4Addr;

/// Longest piece that the input gives.
const LONGEST: usize = 2000;
const UDP: u8 = 17;
const ICMP: u8 = 1;

/// Bytes of the input as a whole frame.
pub(crate) fn raw(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let length = usize::from(input.u16()?) % LONGEST;
    Some(bytes(input, length))
}

/// Up to `length` bytes of the input.
pub(crate) fn bytes(input: &mut Input<'_>, length: usize) -> Vec<u8> {
    (0..length).map_while(|_| input.u8()).collect()
}

/// Bytes of the input behind an Ethernet header that brings them to the host.
pub(crate) fn ethernet(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let kind = match input.u8()? % 4 {
        0 => [0x08, 0x00],
        1 => [0x08, 0x06],
        2 => [0x86, 0xdd],
        _ => input.u16()?.to_be_bytes(),
    };
    Some(frame(kind, &raw(input)?))
}

/// Bytes of the input as payload of some protocol, with a right header before them.
pub(crate) fn ipv4(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let protocol = input.u8()?;
    let from = match input.u8()? % 8 {
        0 => Ipv4Addr::from(input.u32()?),
        1 => SERVER,
        2 => Ipv4Addr::LOCALHOST,
        _ => PEERS,
    };
    let to = match input.u8()? % 8 {
        0 => Ipv4Addr::BROADCAST,
        1 => Ipv4Addr::new(224, 0, 0, 1),
        2 => Ipv4Addr::from(input.u32()?),
        _ => SERVER,
    };
    Some(packet(protocol, from, to, &raw(input)?))
}

/// A datagram to some port, with a right checksum (none, RFC 768).
pub(crate) fn datagram(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let [from, to] = [input.u16()?, input.u16()?].map(|port| match port % 8 {
        0 => 53,
        1 => 67,
        2 => 68,
        3 => 7,
        _ => port,
    });
    let payload = raw(input)?;
    let length = u16::try_from(payload.len() + 8).ok()?;
    let mut bytes = Vec::new();
    for half in [from, to, length, 0] {
        bytes.extend(half.to_be_bytes());
    }
    bytes.extend(payload);
    Some(packet(UDP, PEERS, SERVER, &bytes))
}

/// An ICMP message of some kind, with a right checksum.
pub(crate) fn message(input: &mut Input<'_>) -> Option<Vec<u8>> {
    let mut bytes = vec![input.u8()? % 20, input.u8()? % 16, 0, 0];
    bytes.extend(raw(input)?);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[2..4].copy_from_slice(&(!u16::try_from(sum).ok()?).to_be_bytes());
    Some(packet(ICMP, PEERS, SERVER, &bytes))
}

fn packet(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ipv4_header(protocol, 20 + payload.len(), from, to).to_vec();
    bytes.extend(payload);
    frame([0x08, 0x00], &bytes)
}

fn frame(kind: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&hardware(SERVER)[..], &hardware(PEERS), &kind].concat();
    bytes.extend(payload);
    bytes
}

//! ICMPv6 messages as bytes (RFC 4443), for what the interface leaves to us: neighbours, routers, echoes and errors.
//!
//! They are rare, so a message is put together in memory of its own and then copied. What comes in is hostile: it is
//! checked in full before anything is believed.

use super::frame::{ETHERNET_HEADER, IPV6_HEADER, TYPE_IPV6};
use alloc::vec::Vec;
use core::net::Ipv6Addr;

/// A destination cannot be reached.
pub(crate) const UNREACHABLE: u8 = 1;
/// A packet was too big.
pub(crate) const TOO_BIG: u8 = 2;
/// A packet was under way for too long.
pub(crate) const TIME_EXCEEDED: u8 = 3;
/// Asks for an echo; the answer is the next number.
pub(crate) const ECHO_REQUEST: u8 = 128;
/// Asks the routers for an advertisement (RFC 4861, 4.1).
pub(crate) const ROUTER_SOLICITATION: u8 = 133;
/// A router tells of itself and of the network.
pub(crate) const ROUTER_ADVERTISEMENT: u8 = 134;
/// Asks for the owner of an address.
pub(crate) const NEIGHBOR_SOLICITATION: u8 = 135;
/// Says who owns an address.
pub(crate) const NEIGHBOR_ADVERTISEMENT: u8 = 136;

/// Option: the Ethernet address of the sender (RFC 4861, 4.6.1).
pub(crate) const OPTION_SOURCE: u8 = 1;
/// Option: the Ethernet address of the target.
pub(crate) const OPTION_TARGET: u8 = 2;

/// Every host on the wire.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Every router on the wire.
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// What has crossed no router still has this (RFC 4861, 3.1).
pub(crate) const UNFORWARDED: u8 = 255;
/// What other packets start with.
pub(crate) const HOP_LIMIT: u8 = 64;

const PROTOCOL: u8 = 58;

/// A message that is whole and whose checksum is right.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    /// Who put it on the wire.
    pub(crate) hardware: [u8; 6],
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) hop_limit: u8,
    /// The message, from its type on; 8 bytes at least.
    pub(crate) body: &'a [u8],
}

/// Between whom a message goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) hardware: [u8; 6],
    pub(crate) to_hardware: [u8; 6],
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
}

impl<'a> Message<'a> {
    /// Reads the message in `frame`, which is an Ethernet frame with ICMPv6 right behind the IPv6 header.
    pub(crate) fn parse(frame: &'a [u8]) -> Option<Self> {
        let hardware = *frame.get(6..)?.first_chunk()?;
        let packet = frame.get(ETHERNET_HEADER..)?;
        let header = packet.first_chunk::<IPV6_HEADER>()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let body = packet.get(IPV6_HEADER..IPV6_HEADER + length).filter(|body| body.len() >= 8)?;
        let (source, destination) = (address(header, 8)?, address(header, 24)?);
        if header[6] != PROTOCOL || source.is_multicast() || sum(source, destination, body) != 0xffff {
            return None;
        }
        Some(Self { hardware, source, destination, hop_limit: header[7], body })
    }

    /// Returns the type.
    pub(crate) fn kind(&self) -> u8 {
        self.body[0]
    }

    /// Returns the code.
    pub(crate) fn code(&self) -> u8 {
        self.body[1]
    }

    /// Returns the address that a solicitation or advertisement of a neighbour is about; `None` if it crossed a router.
    pub(crate) fn target(&self) -> Option<Ipv6Addr> {
        let target = address(self.body, 8)?;
        (self.hop_limit == UNFORWARDED && self.code() == 0 && !target.is_multicast()).then_some(target)
    }

    /// Returns the Ethernet address in the option `kind` of a message about a neighbour, if it is one of a host.
    pub(crate) fn hardware_option(&self, kind: u8) -> Option<[u8; 6]> {
        let (_, bytes) = options(self.body.get(24..)?).find(|(option, _)| *option == kind)?;
        let hardware: [u8; 6] = *bytes.get(2..)?.first_chunk()?;
        (hardware[0] & 1 == 0).then_some(hardware)
    }
}

/// Returns the options in `bytes`, each with its first two bytes, type and length (RFC 4861, 4.6).
pub(crate) fn options(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let [kind, units, ..] = *bytes else { return None };
        let (option, rest) = bytes.split_at_checked(usize::from(units) * 8).filter(|_| units > 0)?;
        bytes = rest;
        Some((kind, option))
    })
}

/// Returns the address at `place`.
pub(crate) fn address(bytes: &[u8], place: usize) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(*bytes.get(place..)?.first_chunk::<16>()?))
}

/// Returns the group that the owner of `address` listens to (RFC 4291, 2.7.1).
pub(crate) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// Returns the Ethernet address of a group (RFC 2464, 7).
pub(crate) fn group_hardware(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// Puts a frame together; the checksum in `body` is written here.
pub(crate) fn frame(ends: Ends, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let parts: [&[u8]; 9] = [
        &ends.to_hardware,
        &ends.hardware,
        &TYPE_IPV6,
        &[0x60, 0, 0, 0],
        &length,
        &[PROTOCOL, hop_limit],
        &ends.source.octets(),
        &ends.destination.octets(),
        body,
    ];
    let mut frame = parts.concat();
    let place = frame.len() - body.len() + 2;
    let checksum = !sum(ends.source, ends.destination, body);
    frame[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Puts a message about `target` together, with the option `kind` that names `hardware`.
pub(crate) fn neighbor_body(
    message: u8,
    flags: u8,
    target: Ipv6Addr,
    option: Option<(u8, [u8; 6])>,
) -> Vec<u8> {
    let mut body = Vec::with_capacity(32);
    body.extend_from_slice(&[message, 0, 0, 0, flags, 0, 0, 0]);
    body.extend_from_slice(&target.octets());
    if let Some((kind, hardware)) = option {
        body.extend_from_slice(&[kind, 1]);
        body.extend_from_slice(&hardware);
    }
    body
}

/// Returns the sum over the pseudo-header and the message (RFC 8200, 8.1).
fn sum(source: Ipv6Addr, destination: Ipv6Addr, body: &[u8]) -> u16 {
    let mut sum = u32::from(PROTOCOL) + u32::try_from(body.len()).unwrap_or(0);
    for bytes in [&source.octets()[..], &destination.octets()[..], body] {
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends {
        hardware: [2, 0, 0, 0, 0, 1],
        to_hardware: [2, 0, 0, 0, 0, 2],
        source: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        destination: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2),
    };

    #[test]
    fn what_is_put_together_is_read_again_and_a_changed_bit_is_seen() {
        let body =
            neighbor_body(NEIGHBOR_SOLICITATION, 0, ENDS.destination, Some((OPTION_SOURCE, ENDS.hardware)));
        let whole = frame(ENDS, UNFORWARDED, &body);
        let message = Message::parse(&whole).unwrap();
        assert_eq!((message.source, message.destination), (ENDS.source, ENDS.destination));
        assert_eq!(message.target(), Some(ENDS.destination));
        assert_eq!(message.hardware_option(OPTION_SOURCE), Some(ENDS.hardware));
        assert_eq!(message.hardware_option(OPTION_TARGET), None);
        for place in ETHERNET_HEADER + 8..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            assert!(Message::parse(&changed).is_none(), "{place}");
        }
        for length in 0..whole.len() {
            assert!(Message::parse(&whole[..length]).is_none());
        }
    }

    #[test]
    fn options_without_a_length_end_the_list() {
        assert_eq!(options(&[1, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(options(&[1, 2, 0, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(options(&[1, 1, 0, 0, 0, 0, 0, 0, 5]).count(), 1);
    }

    #[test]
    fn a_group_has_the_last_bytes_of_its_address() {
        let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x1234, 0x5678);
        let group = solicited_node(address);
        assert_eq!(group, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff34, 0x5678));
        assert_eq!(group_hardware(group), [0x33, 0x33, 0xff, 0x34, 0x56, 0x78]);
    }
}

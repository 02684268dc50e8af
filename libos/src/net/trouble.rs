//! Errors that ICMP reports about what we have sent (RFC 792, RFC 4443), and which socket they concern.
//!
//! Anybody can send one. So a report counts only for a socket whose ends it quotes, and for TCP only if it quotes a
//! sequence number that is under way (RFC 5927, 4.1); an open connection is not broken off by any (RFC 1122, 4.2.3.9).

use super::error::Error;
use super::frame::{ETHERNET_HEADER, IPV4_HEADER, IPV6_HEADER, Tuple};
use super::icmpv6::{self, Message};
use core::net::{IpAddr, Ipv4Addr};
use smoltcp::wire::Ipv4Packet;

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
/// Types of ICMP (RFC 792).
const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
/// The packets that every path carries; a report of less is a lie. RFC 8200, 5, says so; RFC 791, 3.2, asks for 68
/// bytes only, but reports of that are attacks, and Linux draws the line here, too.
const LEAST_MTU_V4: u16 = 552;
const LEAST_MTU_V6: u16 = 1280;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// Packets do not arrive.
    Lost(Error),
    /// Packets of more bytes of TCP payload than this do not arrive.
    TooBig(u16),
}

/// A report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub(crate) tuple: Tuple,
    pub(crate) kind: Kind,
    pub(crate) trouble: Trouble,
}

/// What was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A segment with this sequence number.
    Segment(u32),
    /// A datagram.
    Datagram,
}

impl Report {
    /// Reads a report out of `frame`, an Ethernet frame with ICMP of IPv4; `None` if it is another message.
    pub(crate) fn read_v4(frame: &[u8]) -> Option<Self> {
        let packet = Ipv4Packet::new_checked(frame.get(ETHERNET_HEADER..)?).ok()?;
        let message = packet.payload();
        let header = message.first_chunk::<8>()?;
        let trouble = trouble_v4(header[0], header[1], u16::from_be_bytes([header[6], header[7]]))?;
        if !packet.verify_checksum() || !is_whole(message) {
            return None;
        }
        let quoted = &message[8..];
        let ip = quoted.first_chunk::<IPV4_HEADER>()?;
        let is_first = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff == 0;
        let local = IpAddr::V4(Ipv4Addr::new(ip[12], ip[13], ip[14], ip[15]));
        let remote = IpAddr::V4(Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]));
        let payload = quoted.get(usize::from(ip[0] & 0x0f) * 4..)?;
        // Errors go to whom the packet was from (RFC 792).
        let is_for_sender = IpAddr::V4(packet.dst_addr()) == local;
        Self::about(ip[9], local, remote, payload, trouble).filter(|_| is_first && is_for_sender)
    }

    /// Reads a report out of a message of IPv6.
    pub(crate) fn read_v6(message: &Message<'_>) -> Option<Self> {
        let value = u32::from_be_bytes(*message.body[4..].first_chunk()?);
        let trouble = trouble_v6(message.kind(), message.code(), value)?;
        let quoted = &message.body[8..];
        let protocol = *quoted.get(6)?;
        let (local, remote) = (icmpv6::address(quoted, 8)?, icmpv6::address(quoted, 24)?);
        let report = Self::about(protocol, local.into(), remote.into(), quoted.get(IPV6_HEADER..)?, trouble);
        report.filter(|_| message.destination == local)
    }

    fn about(protocol: u8, local: IpAddr, remote: IpAddr, payload: &[u8], trouble: Trouble) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = *payload.first_chunk::<8>()?;
        let kind = match protocol {
            PROTOCOL_TCP => Kind::Segment(u32::from_be_bytes([e, f, g, h])),
            PROTOCOL_UDP => Kind::Datagram,
            _ => return None,
        };
        let (local_port, remote_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Some(Self { tuple: Tuple { local, remote, local_port, remote_port }, kind, trouble })
    }
}

/// The codes as Linux tells them to programs.
fn trouble_v4(kind: u8, code: u8, mtu: u16) -> Option<Trouble> {
    Some(match (kind, code) {
        (UNREACHABLE, 0 | 6 | 9 | 11) => Trouble::Lost(Error::NetworkUnreachable),
        (UNREACHABLE, 2 | 3) => Trouble::Lost(Error::Refused),
        (UNREACHABLE, 4) => Trouble::TooBig(mtu.max(LEAST_MTU_V4) - 40),
        (UNREACHABLE, _) | (TIME_EXCEEDED, _) => Trouble::Lost(Error::HostUnreachable),
        _ => return None,
    })
}

fn trouble_v6(kind: u8, code: u8, value: u32) -> Option<Trouble> {
    Some(match (kind, code) {
        (icmpv6::UNREACHABLE, 0) => Trouble::Lost(Error::NetworkUnreachable),
        (icmpv6::UNREACHABLE, 4) => Trouble::Lost(Error::Refused),
        (icmpv6::UNREACHABLE | icmpv6::TIME_EXCEEDED, _) => Trouble::Lost(Error::HostUnreachable),
        (icmpv6::TOO_BIG, _) => {
            Trouble::TooBig(u16::try_from(value).unwrap_or(u16::MAX).max(LEAST_MTU_V6) - 60)
        }
        _ => return None,
    })
}

/// Tells whether the checksum of a message of ICMP is right.
fn is_whole(message: &[u8]) -> bool {
    let sum: u32 = message
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

//! What the demultiplexer wants to know of a frame: which connection or port it belongs to.
//!
//! Only as much is read as the tables need, straight from the bytes; who takes the frame (`link::segment` or the stack
//! behind) checks it again in full. So nothing here is trusted: a frame that lies about its lengths is classified as
//! well as it goes and then dropped.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: usize = 14;
/// Bytes of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header.
pub(crate) const IPV6_HEADER: usize = 40;

/// Ethernet type of IPv4 (RFC 894).
pub(crate) const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// Ethernet type of IPv6 (RFC 2464).
pub(crate) const TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
/// IP protocol number of TCP.
pub(crate) const PROTOCOL_TCP: u8 = 6;
pub(crate) const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ICMP: u8 = 1;
/// The extension headers (RFC 8200, 4).
pub(crate) const PROTOCOL_HOP_BY_HOP: u8 = 0;
pub(crate) const PROTOCOL_ROUTING: u8 = 43;
pub(crate) const PROTOCOL_FRAGMENT: u8 = 44;
const PROTOCOL_ICMPV6: u8 = 58;
pub(crate) const PROTOCOL_OPTIONS: u8 = 60;
const FLAG_SYN: u8 = 0x02;
const FLAGS_SYN_ACK_RST: u8 = 0x16;
/// The mark of IPv6 in a [`Key`].
const IS_V6: u64 = 1 << 32;

/// The two ends of a connection, as seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tuple {
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl Tuple {
    /// The ends of a connection that is not one yet.
    pub(crate) const UNSPECIFIED: Self = Self {
        local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        remote: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        local_port: 0,
        remote_port: 0,
    };

    /// Returns the own end.
    pub(crate) const fn own_end(self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    /// Returns the peer's end.
    pub(crate) const fn peer_end(self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }
}

/// The ends as a table of connections looks for them: in words, which are compared and hashed at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    local: [u64; 2],
    remote: [u64; 2],
    /// Above the ports stands whether the addresses are of IPv6, since all their bits may be those of IPv4.
    ports: u64,
}

impl Key {
    /// Returns the key of two ends of IPv4.
    #[inline]
    pub(crate) fn of_v4(local: Ipv4Addr, remote: Ipv4Addr, local_port: u16, remote_port: u16) -> Self {
        let words = |address: Ipv4Addr| [0, u64::from(address.to_bits())];
        let ports = u64::from(local_port) << 16 | u64::from(remote_port);
        Self { local: words(local), remote: words(remote), ports }
    }
}

impl From<Tuple> for Key {
    #[inline]
    fn from(tuple: Tuple) -> Self {
        match (tuple.local, tuple.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                Self::of_v4(local, remote, tuple.local_port, tuple.remote_port)
            }
            (local, remote) => {
                let ports = u64::from(tuple.local_port) << 16 | u64::from(tuple.remote_port);
                Self { local: words_v6(local), remote: words_v6(remote), ports: ports | IS_V6 }
            }
        }
    }
}

/// The own address is left out: there are few of them, and a peer cannot choose them.
impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        if self.ports & IS_V6 == 0 {
            return state.write_u64(self.remote[1] << 32 | self.ports);
        }
        state.write_u64(self.remote[0]);
        state.write_u64(self.remote[1]);
        state.write_u64(self.ports);
    }
}

fn words_v6(address: IpAddr) -> [u64; 2] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let [a, b, c, d, e, f, g, h] = address.segments().map(u64::from);
    [a << 48 | b << 32 | c << 16 | d, e << 48 | f << 32 | g << 16 | h]
}

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// A TCP segment.
    Tcp {
        /// Its connection.
        tuple: Tuple,
        /// Whether it opens a connection (SYN alone).
        opens: Opens,
    },
    /// A UDP datagram; `tuple.local` may be a broadcast address.
    Udp(Tuple),
    /// Address resolution of IPv4.
    Arp,
    /// A piece of an IPv4 packet: it has no ports to go by.
    Fragment,
    /// An IPv6 packet with an extension header; it may be a piece, too.
    Extended,
    /// ICMP of IPv4.
    Icmp,
    /// ICMP of IPv6, which also resolves addresses.
    Icmpv6,
    /// Whatever else the stack answers by itself.
    Other,
}

/// Whether a TCP segment asks for a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opens {
    /// A SYN without ACK and RST.
    Connection,
    /// Anything else.
    Nothing,
}

/// Reads what `frame`, an Ethernet frame, is for.
pub(crate) fn classify(frame: &[u8]) -> Class {
    match frame.get(12..14) {
        Some(kind) if kind == TYPE_IPV4 => classify_ipv4(&frame[ETHERNET_HEADER..]).unwrap_or(Class::Other),
        Some(kind) if kind == TYPE_IPV6 => classify_ipv6(&frame[ETHERNET_HEADER..]).unwrap_or(Class::Other),
        Some(kind) if kind == TYPE_ARP => Class::Arp,
        _ => Class::Other,
    }
}

fn classify_ipv4(packet: &[u8]) -> Option<Class> {
    let header = packet.first_chunk::<IPV4_HEADER>()?;
    // RFC 791: more-fragments flag and fragment offset.
    if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
        return Some(Class::Fragment);
    }
    let payload = packet.get(usize::from(header[0] & 0x0f) * 4..)?;
    let remote = IpAddr::V4(Ipv4Addr::new(header[12], header[13], header[14], header[15]));
    let local = IpAddr::V4(Ipv4Addr::new(header[16], header[17], header[18], header[19]));
    classify_payload(header[9], payload, local, remote)
}

/// Packets with extension headers are rare: they are looked at on a way of their own.
#[inline(never)]
fn classify_ipv6(packet: &[u8]) -> Option<Class> {
    let header = packet.first_chunk::<IPV6_HEADER>()?;
    match header[6] {
        PROTOCOL_ICMPV6 => return Some(Class::Icmpv6),
        PROTOCOL_HOP_BY_HOP | PROTOCOL_ROUTING | PROTOCOL_FRAGMENT | PROTOCOL_OPTIONS => {
            return Some(Class::Extended);
        }
        _ => {}
    }
    let address = |place: usize| -> Option<IpAddr> {
        let octets: [u8; 16] = header.get(place..place + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    classify_payload(header[6], &packet[IPV6_HEADER..], address(24)?, address(8)?)
}

#[inline]
fn classify_payload(protocol: u8, payload: &[u8], local: IpAddr, remote: IpAddr) -> Option<Class> {
    let ports = payload.first_chunk::<4>()?;
    let tuple = Tuple {
        local,
        remote,
        remote_port: u16::from_be_bytes([ports[0], ports[1]]),
        local_port: u16::from_be_bytes([ports[2], ports[3]]),
    };
    match protocol {
        PROTOCOL_TCP => {
            let is_open = payload.get(13)? & FLAGS_SYN_ACK_RST == FLAG_SYN;
            Some(Class::Tcp { tuple, opens: if is_open { Opens::Connection } else { Opens::Nothing } })
        }
        PROTOCOL_UDP => Some(Class::Udp(tuple)),
        PROTOCOL_ICMP => Some(Class::Icmp),
        _ => None,
    }
}

/// Returns the address of who sent `frame`, an ARP frame (RFC 826).
pub(crate) fn asking_address(frame: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn addresses_of_ipv6_that_look_like_those_of_ipv4_are_others() {
        let tuple =
            |local: IpAddr, remote: IpAddr| Tuple { local, remote, local_port: 80, remote_port: 4000 };
        let (local, remote) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 1));
        let key = Key::from(tuple(local.into(), remote.into()));
        let compatible = |address: Ipv4Addr| IpAddr::from(Ipv6Addr::from(u128::from(address.to_bits())));
        let mapped = |address: Ipv4Addr| IpAddr::from(address.to_ipv6_mapped());
        assert_ne!(key, Key::from(tuple(compatible(local), compatible(remote))));
        assert_ne!(key, Key::from(tuple(mapped(local), mapped(remote))));
        assert_ne!(key, Key::from(tuple(remote.into(), local.into())));
        assert_eq!(key, Key::from(tuple(local.into(), remote.into())));
    }

    fn tcp_frame(flags: u8) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[12..14].copy_from_slice(&TYPE_IPV4);
        frame[14] = 0x45;
        frame[23] = PROTOCOL_TCP;
        frame[26..30].copy_from_slice(&[10, 0, 0, 2]);
        frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
        frame[34..38].copy_from_slice(&[0x12, 0x34, 0, 80]);
        frame[47] = flags;
        frame
    }

    const TUPLE: Tuple = Tuple {
        local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        remote: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        local_port: 80,
        remote_port: 0x1234,
    };

    #[test]
    fn a_syn_alone_opens_a_connection() {
        assert_eq!(classify(&tcp_frame(0x02)), Class::Tcp { tuple: TUPLE, opens: Opens::Connection });
        for flags in [0x00, 0x10, 0x12, 0x04, 0x06, 0x11] {
            assert_eq!(classify(&tcp_frame(flags)), Class::Tcp { tuple: TUPLE, opens: Opens::Nothing });
        }
    }

    #[test]
    fn a_fragment_is_no_segment() {
        for (high, low) in [(0x20, 0), (0, 1), (0x1f, 0xff)] {
            let mut frame = tcp_frame(0x02);
            (frame[20], frame[21]) = (high, low);
            assert_eq!(classify(&frame), Class::Fragment);
        }
        let mut frame = tcp_frame(0x02);
        frame[20] = 0x40; // don't fragment
        assert_eq!(classify(&frame), Class::Tcp { tuple: TUPLE, opens: Opens::Connection });
    }

    /// The same segment in IPv6.
    fn tcp_frame_v6(flags: u8) -> Vec<u8> {
        let mut frame = vec![0; 54];
        frame[12..14].copy_from_slice(&TYPE_IPV6);
        frame[14] = 0x60;
        frame[20] = PROTOCOL_TCP;
        (frame[37], frame[53]) = (2, 1);
        frame.extend([0x12, 0x34, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        frame
    }

    const TUPLE_V6: Tuple = Tuple {
        local: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1)),
        remote: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 2)),
        local_port: 80,
        remote_port: 0x1234,
    };

    #[test]
    fn ipv6_has_its_ports_behind_a_longer_header() {
        let opening = tcp_frame_v6(0x02);
        assert_eq!(classify(&opening), Class::Tcp { tuple: TUPLE_V6, opens: Opens::Connection });
        let later = tcp_frame_v6(0x10);
        assert_eq!(classify(&later), Class::Tcp { tuple: TUPLE_V6, opens: Opens::Nothing });
        for length in 0..opening.len() {
            classify(&opening[..length]);
        }
    }

    #[test]
    fn what_else_ipv6_carries_is_told() {
        let with = |protocol| {
            let mut frame = tcp_frame_v6(0);
            frame[20] = protocol;
            classify(&frame)
        };
        for protocol in [PROTOCOL_HOP_BY_HOP, PROTOCOL_ROUTING, PROTOCOL_FRAGMENT, PROTOCOL_OPTIONS] {
            assert_eq!(with(protocol), Class::Extended);
        }
        assert_eq!(with(PROTOCOL_ICMPV6), Class::Icmpv6);
        assert_eq!(with(89), Class::Other);
    }

    #[test]
    fn no_truncation_and_no_header_length_leaves_the_frame() {
        let frame = tcp_frame(0x02);
        for length in 0..frame.len() {
            classify(&frame[..length]);
        }
        for first in 0..=255 {
            let mut frame = tcp_frame(0x02);
            frame[14] = first;
            classify(&frame);
        }
    }
}

//! Frames that no sound host sends, from a seed: the same seed gives the same frames.
//!
//! Some are noise and die at the first check. The others start out well-formed and go wrong later, so that they come
//! further: cut short, one byte changed, lengths that lie, ports that are closed, connections that do not exist.

use std::net::Ipv4Addr;

use fastrand::Rng;
use stock_smoltcp::wire::{ArpOperation, EthernetAddress, EthernetProtocol, IpProtocol, TcpControl};

use crate::frame::Ends;

/// Longest payload of a frame that a card without offloads sends.
const LONGEST_PAYLOAD: usize = 1500;
/// Longest frame of noise: beyond what fits the wire, within what QEMU hands over.
const LONGEST_NOISE: usize = 4000;
/// Where the IPv4 header starts and the length that it tells stands.
const IPV4: usize = 14;
const TOTAL_LENGTH: usize = IPV4 + 2;
const FRAGMENT: usize = IPV4 + 6;
const CHECKSUM: usize = IPV4 + 10;
const IPV4_LENGTH: usize = 20;

/// Makes frames for one guest.
#[derive(Debug)]
pub struct Garbage {
    random: Rng,
    ends: Ends,
    open_port: u16,
}

impl Garbage {
    /// Makes frames for the guest at the destination of `ends`, where TCP port `open_port` is served.
    #[must_use]
    pub fn new(seed: u64, ends: Ends, open_port: u16) -> Self {
        Self { random: Rng::with_seed(seed), ends, open_port }
    }

    fn frame(&mut self) -> Vec<u8> {
        match self.random.u8(..8) {
            0 => self.noise(),
            1 => self.unknown_protocol(),
            2 => self.arp(),
            3 => self.segment_of_no_connection(),
            4 => self.for_closed_port(),
            5 => self.cut_short(),
            6 => self.changed(),
            _ => self.lying(),
        }
    }

    fn noise(&mut self) -> Vec<u8> {
        self.bytes(1..LONGEST_NOISE)
    }

    fn unknown_protocol(&mut self) -> Vec<u8> {
        let payload = self.bytes(0..LONGEST_PAYLOAD);
        let ethertypes = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88cc, self.random.u16(..)];
        let ethertype = EthernetProtocol::from(ethertypes[self.random.usize(..ethertypes.len())]);
        self.anyone().ethernet(ethertype, &payload)
    }

    fn arp(&mut self) -> Vec<u8> {
        let operations =
            [ArpOperation::Request, ArpOperation::Reply, ArpOperation::Unknown(self.random.u16(..))];
        let operation = operations[self.random.usize(..operations.len())];
        self.anyone().arp(operation)
    }

    /// A segment to the served port that belongs to no connection, and opens none.
    fn segment_of_no_connection(&mut self) -> Vec<u8> {
        let controls = [TcpControl::None, TcpControl::Psh, TcpControl::Fin, TcpControl::Rst];
        let control = controls[self.random.usize(..controls.len())];
        let numbers = (self.random.u32(..), self.random.bool().then(|| self.random.u32(..)));
        let payload = self.bytes(0..LONGEST_PAYLOAD - 40);
        self.anyone().tcp((self.random.u16(1..), self.open_port), control, numbers, &payload)
    }

    fn for_closed_port(&mut self) -> Vec<u8> {
        let ports = (self.random.u16(1..), self.random.u16(1024..));
        let payload = self.bytes(0..LONGEST_PAYLOAD - 40);
        if self.random.bool() {
            self.anyone().udp(ports, &payload)
        } else {
            self.anyone().tcp(ports, TcpControl::Syn, (self.random.u32(..), None), &payload)
        }
    }

    fn cut_short(&mut self) -> Vec<u8> {
        let mut frame = self.well_formed();
        frame.truncate(self.random.usize(1..frame.len()));
        frame
    }

    fn changed(&mut self) -> Vec<u8> {
        let mut frame = self.well_formed();
        for _ in 0..self.random.usize(1..4) {
            let at = self.random.usize(12..frame.len());
            frame[at] = self.random.u8(..);
        }
        frame
    }

    /// A packet whose header tells another length, a fragment, or options, under a right checksum.
    fn lying(&mut self) -> Vec<u8> {
        let payload = self.bytes(0..LONGEST_PAYLOAD - 20);
        let protocols =
            [IpProtocol::Tcp, IpProtocol::Udp, IpProtocol::Icmp, IpProtocol::Unknown(self.random.u8(..))];
        let protocol = protocols[self.random.usize(..protocols.len())];
        let mut frame = self.anyone().ipv4(protocol, &payload);
        let value = self.random.u16(..).to_be_bytes();
        match self.random.u8(..3) {
            0 => frame[TOTAL_LENGTH..][..2].copy_from_slice(&value),
            1 => frame[FRAGMENT..][..2].copy_from_slice(&value),
            _ => frame[IPV4] = 0x40 | self.random.u8(..16),
        }
        set_checksum(&mut frame);
        frame
    }

    fn well_formed(&mut self) -> Vec<u8> {
        match self.random.u8(..4) {
            0 => self.arp(),
            1 => self.segment_of_no_connection(),
            2 => self.for_closed_port(),
            _ => self.lying(),
        }
    }

    /// A sender that may be anyone: most often a neighbour, now and then the guest itself, a broadcast or a multicast.
    fn anyone(&mut self) -> Ends {
        let source_ip = match self.random.u8(..16) {
            0 => self.ends.destination_ip,
            1 => Ipv4Addr::BROADCAST,
            2 => Ipv4Addr::UNSPECIFIED,
            3 => Ipv4Addr::new(224, 0, 0, 1),
            4 => Ipv4Addr::LOCALHOST,
            5 => Ipv4Addr::from_bits(self.random.u32(..)),
            _ => {
                let [a, b, c, _] = self.ends.source_ip.octets();
                Ipv4Addr::new(a, b, c, self.random.u8(3..))
            }
        };
        let destination =
            if self.random.u8(..8) == 0 { EthernetAddress::BROADCAST } else { self.ends.destination };
        let mut source = [0; 6];
        self.random.fill(&mut source);
        Ends { source: EthernetAddress(source), source_ip, destination, ..self.ends }
    }

    fn bytes(&mut self, length: std::ops::Range<usize>) -> Vec<u8> {
        let mut bytes = vec![0; self.random.usize(length)];
        self.random.fill(&mut bytes);
        bytes
    }
}

impl Iterator for Garbage {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.frame())
    }
}

/// Makes the checksum of a header of the shortest length right (RFC 791, 3.1).
fn set_checksum(frame: &mut [u8]) {
    frame[CHECKSUM..][..2].fill(0);
    let words =
        frame[IPV4..][..IPV4_LENGTH].chunks_exact(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let [.., high, low] = (!folded).to_be_bytes();
    frame[CHECKSUM..][..2].copy_from_slice(&[high, low]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use stock_smoltcp::wire::Ipv4Packet;

    fn garbage(seed: u64) -> Garbage {
        let ends = Ends {
            source: EthernetAddress([2, 0, 0, 0, 0, 1]),
            source_ip: Ipv4Addr::new(10, 0, 0, 1),
            destination: EthernetAddress([2, 0, 0, 0, 0, 2]),
            destination_ip: Ipv4Addr::new(10, 0, 0, 2),
        };
        Garbage::new(seed, ends, 80)
    }

    #[test]
    fn a_seed_gives_the_same_frames_again_and_another_seed_others() {
        let frames = |seed| garbage(seed).take(500).collect::<Vec<_>>();
        assert_eq!(frames(1), frames(1));
        assert_ne!(frames(1), frames(2));
        assert!(frames(3).iter().all(|frame| (1..LONGEST_NOISE).contains(&frame.len())));
    }

    #[test]
    fn a_lying_header_has_a_right_checksum() {
        let mut garbage = garbage(4);
        for _ in 0..100 {
            let frame = garbage.lying();
            if frame[IPV4] == 0x45 {
                assert!(Ipv4Packet::new_unchecked(&frame[IPV4..]).verify_checksum());
            }
        }
    }
}

//! Ethernet frames made by hand: well-formed ones, for tests that say on the wire what no socket would.

use std::net::Ipv4Addr;

use stock_smoltcp::phy::ChecksumCapabilities;
use stock_smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket,
    UdpRepr,
};

const HEADER: usize = EthernetFrame::<&[u8]>::header_len();
const HOP_LIMIT: u8 = 64;

/// Who a frame is from and for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// Hardware address of the sender.
    pub source: EthernetAddress,
    /// Address of the sender.
    pub source_ip: Ipv4Addr,
    /// Hardware address of the receiver.
    pub destination: EthernetAddress,
    /// Address of the receiver.
    pub destination_ip: Ipv4Addr,
}

impl Ends {
    /// Returns the way back.
    #[must_use]
    pub const fn back(self) -> Self {
        Self {
            source: self.destination,
            source_ip: self.destination_ip,
            destination: self.source,
            destination_ip: self.source_ip,
        }
    }

    /// Returns the question which hardware address the receiver has.
    #[must_use]
    pub fn arp_request(&self) -> Vec<u8> {
        self.arp(ArpOperation::Request)
    }

    /// Returns an ARP packet that the sender tells its addresses with.
    #[must_use]
    pub fn arp(&self, operation: ArpOperation) -> Vec<u8> {
        let packet = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: self.source,
            source_protocol_addr: self.source_ip,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: self.destination_ip,
        };
        let mut bytes = vec![0; packet.buffer_len()];
        packet.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        self.ethernet(EthernetProtocol::Arp, &bytes)
    }

    /// Returns a TCP segment between two ports, with a window and no options.
    #[must_use]
    pub fn tcp(
        &self,
        ports: (u16, u16),
        control: TcpControl,
        numbers: (u32, Option<u32>),
        payload: &[u8],
    ) -> Vec<u8> {
        // The type counts as the protocol does: bit 31 is no sign.
        let number = |value: u32| TcpSeqNumber(value.cast_signed());
        let segment = TcpRepr {
            src_port: ports.0,
            dst_port: ports.1,
            control,
            seq_number: number(numbers.0),
            ack_number: numbers.1.map(number),
            window_len: u16::MAX,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let mut bytes = vec![0; segment.buffer_len()];
        let (source, destination) = self.ip_addresses();
        let mut packet = TcpPacket::new_unchecked(bytes.as_mut_slice());
        segment.emit(&mut packet, &source, &destination, &ChecksumCapabilities::default());
        self.ipv4(IpProtocol::Tcp, &bytes)
    }

    /// Returns a UDP datagram between two ports.
    #[must_use]
    pub fn udp(&self, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let datagram = UdpRepr { src_port: ports.0, dst_port: ports.1 };
        let mut bytes = vec![0; datagram.header_len() + payload.len()];
        let (source, destination) = self.ip_addresses();
        let mut packet = UdpPacket::new_unchecked(bytes.as_mut_slice());
        let checksums = ChecksumCapabilities::default();
        datagram.emit(
            &mut packet,
            &source,
            &destination,
            payload.len(),
            |room| room.copy_from_slice(payload),
            &checksums,
        );
        self.ipv4(IpProtocol::Udp, &bytes)
    }

    /// Returns an IPv4 packet.
    #[must_use]
    pub fn ipv4(&self, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
        let header = Ipv4Repr {
            src_addr: self.source_ip,
            dst_addr: self.destination_ip,
            next_header: protocol,
            payload_len: payload.len(),
            hop_limit: HOP_LIMIT,
        };
        let mut bytes = vec![0; header.buffer_len()];
        bytes.extend_from_slice(payload);
        header.emit(&mut Ipv4Packet::new_unchecked(&mut bytes), &ChecksumCapabilities::default());
        self.ethernet(EthernetProtocol::Ipv4, &bytes)
    }

    /// Returns a frame.
    #[must_use]
    pub fn ethernet(&self, ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
        let header = EthernetRepr { src_addr: self.source, dst_addr: self.destination, ethertype };
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(payload);
        header.emit(&mut EthernetFrame::new_unchecked(&mut bytes));
        bytes
    }

    fn ip_addresses(&self) -> (IpAddress, IpAddress) {
        (self.source_ip.into(), self.destination_ip.into())
    }
}

/// Reads an ARP reply; returns who answered.
#[must_use]
pub fn arp_reply(frame: &[u8]) -> Option<(Ipv4Addr, EthernetAddress)> {
    let packet = ArpPacket::new_checked(payload(frame, EthernetProtocol::Arp)?).ok()?;
    let ArpRepr::EthernetIpv4 { operation, source_hardware_addr, source_protocol_addr, .. } =
        ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    (operation == ArpOperation::Reply).then_some((source_protocol_addr, source_hardware_addr))
}

/// Reads an ARP request; returns who asks, and for which address.
#[must_use]
pub fn arp_question(frame: &[u8]) -> Option<(Ipv4Addr, EthernetAddress, Ipv4Addr)> {
    let packet = ArpPacket::new_checked(payload(frame, EthernetProtocol::Arp)?).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    (operation == ArpOperation::Request).then_some((
        source_protocol_addr,
        source_hardware_addr,
        target_protocol_addr,
    ))
}

/// Reads a UDP datagram; returns its ends, its two ports and what it carries.
#[must_use]
pub fn udp_datagram(frame: &[u8]) -> Option<(Ends, (u16, u16), &[u8])> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(payload(frame, EthernetProtocol::Ipv4)?).ok()?;
    let ends = Ends {
        source: ethernet.src_addr(),
        source_ip: packet.src_addr(),
        destination: ethernet.dst_addr(),
        destination_ip: packet.dst_addr(),
    };
    if packet.next_header() != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    Some((ends, (datagram.src_port(), datagram.dst_port()), datagram.payload()))
}

/// Reads a TCP segment; returns its bytes from the TCP header on.
#[must_use]
pub fn tcp_segment(frame: &[u8]) -> Option<TcpPacket<&[u8]>> {
    let packet = Ipv4Packet::new_checked(payload(frame, EthernetProtocol::Ipv4)?).ok()?;
    let is_tcp = packet.next_header() == IpProtocol::Tcp;
    if is_tcp { TcpPacket::new_checked(packet.payload()).ok() } else { None }
}

fn payload(frame: &[u8], ethertype: EthernetProtocol) -> Option<&[u8]> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    (frame.ethertype() == ethertype).then(|| frame.payload())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> Ends {
        Ends {
            source: EthernetAddress([2, 0, 0, 0, 0, 1]),
            source_ip: Ipv4Addr::new(10, 0, 0, 1),
            destination: EthernetAddress([2, 0, 0, 0, 0, 2]),
            destination_ip: Ipv4Addr::new(10, 0, 0, 2),
        }
    }

    #[test]
    fn a_segment_is_read_as_it_was_made() {
        let frame = ends().tcp((1, 2), TcpControl::Syn, (u32::MAX, Some(7)), b"data");
        let segment = tcp_segment(&frame).unwrap();
        assert_eq!((segment.src_port(), segment.dst_port(), segment.syn()), (1, 2, true));
        assert_eq!(segment.payload(), b"data");
        assert!(segment.verify_checksum(&ends().source_ip.into(), &ends().destination_ip.into()));
    }

    #[test]
    fn a_datagram_is_read_as_it_was_made() {
        let frame = ends().udp((1, 2), b"data");
        assert_eq!(udp_datagram(&frame), Some((ends(), (1, 2), b"data".as_slice())));
        assert_eq!(udp_datagram(&ends().tcp((1, 2), TcpControl::Syn, (0, None), b"")), None);
    }

    #[test]
    fn a_question_for_an_address_is_read_as_it_was_made() {
        let question = (ends().source_ip, ends().source, ends().destination_ip);
        assert_eq!(arp_question(&ends().arp_request()), Some(question));
        assert_eq!(arp_question(&ends().arp(ArpOperation::Reply)), None);
    }

    #[test]
    fn only_a_reply_is_taken_for_one() {
        assert_eq!(arp_reply(&ends().arp_request()), None);
        assert_eq!(arp_reply(&ends().arp(ArpOperation::Reply)), Some((ends().source_ip, ends().source)));
        assert_eq!(arp_reply(&ends().udp((1, 2), b"")), None);
    }
}

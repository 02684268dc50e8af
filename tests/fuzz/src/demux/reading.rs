//! What smoltcp reads from a frame, and what must follow for the demultiplexer.

use crate::net::checksum;
use crate::net::frame::{self, Class, Opens, Tuple};
use smoltcp::wire::{
    ArpPacket, EthernetFrame, EthernetProtocol, IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket,
    UdpPacket,
};

/// Checks one frame.
pub(crate) fn check(bytes: &[u8]) {
    let class = frame::classify(bytes);
    let is_right = checksum::is_right(bytes);
    let mut completed = bytes.to_vec();
    checksum::complete(&mut completed);
    let mut begun = bytes.to_vec();
    checksum::begin(&mut begun);
    assert_eq!((completed.len(), begun.len()), (bytes.len(), bytes.len()));
    let Ok(ethernet) = EthernetFrame::new_checked(bytes) else {
        assert_eq!(class, Class::Other);
        return;
    };
    match ethernet.ethertype() {
        EthernetProtocol::Arp => check_arp(class, bytes, ethernet.payload()),
        EthernetProtocol::Ipv4 => check_ipv4(class, is_right, ethernet.payload()),
        EthernetProtocol::Ipv6 => check_ipv6(class, is_right, ethernet.payload()),
        EthernetProtocol::Unknown(_) => {
            assert!(!matches!(class, Class::Tcp { .. } | Class::Udp(_) | Class::Arp));
        }
    }
}

fn check_arp(class: Class, bytes: &[u8], payload: &[u8]) {
    assert_eq!(class, Class::Arp);
    if let Ok(packet) = ArpPacket::new_checked(payload)
        && (packet.hardware_len(), packet.protocol_len()) == (6, 4)
    {
        let asking = frame::asking_address(bytes).expect("it is long enough");
        assert_eq!(asking.octets(), packet.source_protocol_addr());
    }
}

fn check_ipv4(class: Class, is_right: bool, payload: &[u8]) {
    let Ok(packet) = Ipv4Packet::new_checked(payload) else { return };
    if packet.more_frags() || packet.frag_offset() != 0 {
        assert_eq!(class, Class::Fragment);
        return;
    }
    let ends = (IpAddress::Ipv4(packet.src_addr()), IpAddress::Ipv4(packet.dst_addr()));
    check_payload(class, is_right, packet.next_header(), ends, packet.payload());
}

fn check_ipv6(class: Class, is_right: bool, payload: &[u8]) {
    let Ok(packet) = Ipv6Packet::new_checked(payload) else { return };
    if matches!(packet.next_header(), IpProtocol::Tcp | IpProtocol::Udp) {
        let ends = (IpAddress::Ipv6(packet.src_addr()), IpAddress::Ipv6(packet.dst_addr()));
        check_payload(class, is_right, packet.next_header(), ends, packet.payload());
    }
}

fn check_payload(
    class: Class,
    is_right: bool,
    protocol: IpProtocol,
    (source, destination): (IpAddress, IpAddress),
    payload: &[u8],
) {
    let tuple = |remote_port, local_port| Tuple {
        local: destination.into(),
        remote: source.into(),
        local_port,
        remote_port,
    };
    match protocol {
        IpProtocol::Tcp => {
            let Ok(segment) = TcpPacket::new_checked(payload) else {
                assert!(!is_right);
                return;
            };
            let opens = if segment.syn() && !segment.ack() && !segment.rst() {
                Opens::Connection
            } else {
                Opens::Nothing
            };
            assert_eq!(class, Class::Tcp { tuple: tuple(segment.src_port(), segment.dst_port()), opens });
            assert_eq!(is_right, segment.verify_checksum(&source, &destination));
        }
        IpProtocol::Udp => {
            let Ok(datagram) = UdpPacket::new_checked(payload) else {
                assert!(!is_right);
                return;
            };
            assert_eq!(class, Class::Udp(tuple(datagram.src_port(), datagram.dst_port())));
            // Over IPv6 a datagram must have a checksum (RFC 8200, 8.1), which smoltcp does not ask for.
            let lacks = matches!(source, IpAddress::Ipv6(_)) && datagram.checksum() == 0;
            assert_eq!(is_right, !lacks && datagram.verify_checksum(&source, &destination));
        }
        _ => assert!(!matches!(class, Class::Tcp { .. } | Class::Udp(_) | Class::Arp)),
    }
}

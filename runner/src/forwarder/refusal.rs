//! Tells the guest at once that what lies beyond its gateway is not there (RFC 792, destination unreachable).
//!
//! smoltcp as a gateway says nothing to a packet for somebody else, and the guest would wait until it gives up.

use std::net::Ipv4Addr;

use stock_smoltcp as smoltcp;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4DstUnreachable, Icmpv4Packet,
    Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr,
};

/// Bytes of the packet that are sent back with its header.
const QUOTED: usize = 8;
const ETHERNET: usize = 14;
const HOPS: u8 = 64;

/// Returns the answer to `frame`, if it is for somebody beyond the gateway, which has these addresses.
pub(super) fn answer(frame: &[u8], own: EthernetAddress, gateway: Ipv4Addr) -> Option<Vec<u8>> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.dst_addr() != own || ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    let header = Ipv4Repr::parse(&packet, &ChecksumCapabilities::ignored()).ok()?;
    // Of an error there is no error (RFC 1122, 3.2.2).
    let is_message = matches!(header.next_header, IpProtocol::Tcp | IpProtocol::Udp);
    let is_for_one = !header.dst_addr.is_multicast() && !header.dst_addr.is_broadcast();
    if header.dst_addr == gateway || !is_message || !is_for_one || packet.frag_offset() != 0 {
        return None;
    }
    let data = &packet.payload()[..packet.payload().len().min(QUOTED)];
    let reason = Icmpv4DstUnreachable::NetUnreachable;
    let refusal = Icmpv4Repr::DstUnreachable { reason, header, data };
    let ip = Ipv4Repr {
        src_addr: gateway,
        dst_addr: header.src_addr,
        next_header: IpProtocol::Icmp,
        payload_len: refusal.buffer_len(),
        hop_limit: HOPS,
    };
    Some(emit(ethernet.src_addr(), own, &ip, &refusal))
}

fn emit(guest: EthernetAddress, own: EthernetAddress, ip: &Ipv4Repr, refusal: &Icmpv4Repr<'_>) -> Vec<u8> {
    let sums = ChecksumCapabilities::default();
    let mut frame = vec![0; ETHERNET + ip.buffer_len() + refusal.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    EthernetRepr { src_addr: own, dst_addr: guest, ethertype: EthernetProtocol::Ipv4 }.emit(&mut ethernet);
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet, &sums);
    refusal.emit(&mut Icmpv4Packet::new_unchecked(packet.payload_mut()), &sums);
    frame
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::Icmpv4Message;

    use super::*;

    const OWN: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const GUEST: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    fn frame(destination: Ipv4Addr, protocol: IpProtocol) -> Vec<u8> {
        let ip = Ipv4Repr {
            src_addr: Ipv4Addr::new(10, 0, 2, 15),
            dst_addr: destination,
            next_header: protocol,
            payload_len: 20,
            hop_limit: HOPS,
        };
        let mut frame = vec![7; ETHERNET + 40];
        let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
        let header = EthernetRepr { src_addr: GUEST, dst_addr: OWN, ethertype: EthernetProtocol::Ipv4 };
        header.emit(&mut ethernet);
        ip.emit(&mut Ipv4Packet::new_unchecked(ethernet.payload_mut()), &ChecksumCapabilities::default());
        frame
    }

    #[test]
    fn what_is_for_somebody_beyond_the_gateway_is_refused() {
        let frame = frame(Ipv4Addr::new(192, 0, 2, 1), IpProtocol::Tcp);
        let answer = answer(&frame, OWN, GATEWAY).unwrap();
        let ethernet = EthernetFrame::new_checked(&answer).unwrap();
        assert_eq!((ethernet.dst_addr(), ethernet.src_addr()), (GUEST, OWN));
        let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        assert!(packet.verify_checksum());
        let message = Icmpv4Packet::new_checked(packet.payload()).unwrap();
        assert!(message.verify_checksum());
        assert_eq!(message.msg_type(), Icmpv4Message::DstUnreachable);
        let quoted = Ipv4Packet::new_unchecked(message.data());
        assert_eq!(quoted.dst_addr(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(message.data()[20..], [7; QUOTED]);
    }

    #[test]
    fn nothing_else_is() {
        let beyond = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(answer(&frame(GATEWAY, IpProtocol::Tcp), OWN, GATEWAY), None);
        assert_eq!(answer(&frame(beyond, IpProtocol::Icmp), OWN, GATEWAY), None);
        assert_eq!(answer(&frame(Ipv4Addr::BROADCAST, IpProtocol::Udp), OWN, GATEWAY), None);
        assert_eq!(answer(&frame(beyond, IpProtocol::Tcp), GUEST, GATEWAY), None);
        for length in 0..ETHERNET + 20 {
            assert_eq!(answer(&frame(beyond, IpProtocol::Tcp)[..length], OWN, GATEWAY), None);
        }
    }
}

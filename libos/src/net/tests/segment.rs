//! TCP segments made and read by hand, so that a peer can say what no stack would.

use crate::net::checksum;
use crate::net::frame::ETHERNET_HEADER;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

const IPV4_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
/// The header's length is given in words of 4 bytes, in 4 bits (RFC 9293, 3.1).
const MOST_OPTIONS: usize = 40;

/// A segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    /// Returns how many sequence numbers it takes.
    pub(crate) fn span(&self) -> u32 {
        let flags = [SYN, FIN].into_iter().filter(|flag| self.flags & flag != 0).count();
        u32::try_from(self.payload.len() + flags).expect("a frame is short")
    }

    /// Writes it into a frame, with the checksums that it should have.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.truncate(MOST_OPTIONS);
        options.resize(options.len().next_multiple_of(4), 0);
        let length = IPV4_HEADER + TCP_HEADER + options.len() + self.payload.len();
        let mut frame = Vec::with_capacity(ETHERNET_HEADER + length);
        frame.extend(hardware(*self.to.ip()));
        frame.extend(hardware(*self.from.ip()));
        frame.extend([0x08, 0x00]);
        frame.extend(ipv4_header(6, length, *self.from.ip(), *self.to.ip()));
        frame.extend(self.from.port().to_be_bytes());
        frame.extend(self.to.port().to_be_bytes());
        frame.extend(self.sequence.to_be_bytes());
        frame.extend(self.acknowledged.to_be_bytes());
        let words = u8::try_from((TCP_HEADER + options.len()) / 4).expect("they were cut");
        frame.extend([words << 4, self.flags]);
        frame.extend(self.window.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(options);
        frame.extend(&self.payload);
        checksum::complete(&mut frame);
        frame
    }

    /// Reads one that a stack has sent; `None`: the frame is something else.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_HEADER..)?;
        if frame[12..14] != [0x08, 0x00] || packet.first() != Some(&0x45) || *packet.get(9)? != 6 {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let segment = packet.get(IPV4_HEADER..length)?;
        let start = usize::from(segment.get(12)? >> 4) * 4;
        let half = |at: usize| Some(u16::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let word = |at: usize| Some(u32::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let address = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
        Some(Self {
            from: SocketAddrV4::new(address(12)?, half(0)?),
            to: SocketAddrV4::new(address(16)?, half(2)?),
            sequence: word(4)?,
            acknowledged: word(8)?,
            flags: *segment.get(13)?,
            window: half(14)?,
            options: segment.get(TCP_HEADER..start)?.to_vec(),
            payload: segment.get(start..)?.to_vec(),
        })
    }
}

/// Returns the Ethernet address that a host of these tests has.
pub(crate) fn hardware(address: Ipv4Addr) -> [u8; 6] {
    let [.., number] = address.octets();
    [2, 0, 0, 0, 0, number]
}

/// Writes the header of a packet of `length` bytes.
pub(crate) fn ipv4_header(protocol: u8, length: usize, from: Ipv4Addr, to: Ipv4Addr) -> [u8; IPV4_HEADER] {
    let [high, low] = u16::try_from(length).expect("a packet is short").to_be_bytes();
    let mut header = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("ten halves carry once");
    header[10..12].copy_from_slice(&(!folded).to_be_bytes());
    header
}

/// An answer to an ARP request: `from` has its Ethernet address.
pub(crate) fn arp_reply(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::from(hardware(to));
    frame.extend(hardware(from));
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 2]);
    frame.extend(hardware(from));
    frame.extend(from.octets());
    frame.extend(hardware(to));
    frame.extend(to.octets());
    frame
}

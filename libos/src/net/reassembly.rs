//! Packets that come in pieces: they are put together before anybody asks whom they are for (RFC 791, 3.2; RFC 8200,
//! 4.5).
//!
//! Pieces are hostile: memory is bounded in packets and bytes, a packet whose pieces overlap or contradict each other
//! is dropped as a whole (RFC 5722), and so is one that is not whole in time. With no room for a new packet the oldest
//! makes way.

use super::frame::{
    ETHERNET_HEADER, IPV4_HEADER, IPV6_HEADER, PROTOCOL_FRAGMENT, PROTOCOL_HOP_BY_HOP, PROTOCOL_OPTIONS,
    PROTOCOL_ROUTING, TYPE_IPV4, TYPE_IPV6,
};
use alloc::vec::Vec;
use core::ops::Range;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Packet;

/// Most packets under way.
const PACKETS: usize = 16;
/// Most bytes of the pieces of all of them.
const BYTES: usize = 256 << 10;
/// Most bytes of a packet behind its header.
const LONGEST: usize = 65_535;
/// Most pieces of one packet.
const PIECES: usize = 128;
/// How long a packet may take (RFC 1122, 3.3.2, says 60 to 120 s, Linux waits 30 s).
const PATIENCE: Duration = Duration::from_secs(30);
/// Most extension headers.
const EXTENSIONS: usize = 8;

/// The packets that are not whole yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    packets: Vec<Packet>,
}

/// What all pieces of a packet have in common: addresses, protocol and number.
type Key = ([u8; 32], u8, u32);

#[derive(Debug)]
struct Packet {
    key: Key,
    expires: Instant,
    /// The Ethernet and IP headers, as the first piece has them.
    headers: Vec<u8>,
    bytes: Vec<u8>,
    /// What is there, in order.
    pieces: Vec<Range<usize>>,
    length: Option<usize>,
}

/// One piece, read out of a frame.
struct Piece<'a> {
    key: Key,
    headers: Vec<u8>,
    offset: usize,
    is_last: bool,
    bytes: &'a [u8],
}

impl Reassembly {
    /// Takes a piece of an IPv4 packet; returns the frame when it is whole.
    #[inline(never)]
    pub(crate) fn take_v4(&mut self, now: Instant, frame: &[u8]) -> Option<Vec<u8>> {
        let whole = self.take(now, read_v4(frame)?)?;
        Some(finish_v4(whole)).flatten()
    }

    /// Takes an IPv6 packet with extension headers; returns the frame without them when it is whole.
    #[inline(never)]
    pub(crate) fn take_v6(&mut self, now: Instant, frame: &[u8]) -> Option<Vec<u8>> {
        let headers = frame.get(..ETHERNET_HEADER + IPV6_HEADER)?;
        let length = usize::from(u16::from_be_bytes([headers[18], headers[19]]));
        let mut payload = frame.get(headers.len()..headers.len() + length)?;
        let mut protocol = headers[20];
        for _ in 0..EXTENSIONS {
            let [next, units, ..] = *payload else { return None };
            match protocol {
                PROTOCOL_FRAGMENT => {
                    let piece = read_v6(headers, payload)?;
                    // What is in the pieces may have further headers: those are too unusual to be let in.
                    return finish_v6(self.take(now, piece)?);
                }
                PROTOCOL_HOP_BY_HOP | PROTOCOL_OPTIONS => {
                    let (options, rest) = payload.split_at_checked(usize::from(units) * 8 + 8)?;
                    if !are_skippable(&options[2..]) {
                        return None;
                    }
                    (protocol, payload) = (next, rest);
                }
                // No segments left: we are where it leads.
                PROTOCOL_ROUTING if payload.get(3) == Some(&0) => {
                    (protocol, payload) = (next, payload.get(usize::from(units) * 8 + 8..)?);
                }
                PROTOCOL_ROUTING => return None,
                _ => {
                    let mut plain = Vec::from(headers);
                    plain[20] = protocol;
                    plain.extend_from_slice(payload);
                    return finish_v6(plain);
                }
            }
        }
        None
    }

    fn take(&mut self, now: Instant, piece: Piece<'_>) -> Option<Vec<u8>> {
        self.packets.retain(|packet| now < packet.expires);
        let end = piece.offset + piece.bytes.len();
        let is_proper = !piece.bytes.is_empty() && end <= LONGEST;
        if !is_proper || !piece.is_last && !piece.bytes.len().is_multiple_of(8) {
            return None;
        }
        // Alone it is whole (RFC 6946).
        if piece.offset == 0 && piece.is_last {
            let mut whole = piece.headers;
            whole.extend_from_slice(piece.bytes);
            return Some(whole);
        }
        self.make_room(piece.bytes.len());
        let index = match self.packets.iter().position(|packet| packet.key == piece.key) {
            Some(index) => index,
            None => {
                // As many as there may be: the oldest one makes way.
                if self.packets.len() == PACKETS {
                    self.remove(0);
                }
                self.packets.push(Packet::new(piece.key, now));
                self.packets.len() - 1
            }
        };
        match self.packets[index].add(piece) {
            Ok(false) => None,
            Ok(true) => Some(self.remove(index).into_frame()),
            Err(Contradiction) => {
                self.remove(index);
                None
            }
        }
    }

    #[inline(never)]
    fn remove(&mut self, index: usize) -> Packet {
        self.packets.remove(index)
    }

    fn make_room(&mut self, length: usize) {
        let held = |packets: &[Packet]| packets.iter().map(|packet| packet.bytes.len()).sum::<usize>();
        while !self.packets.is_empty() && held(&self.packets) + length > BYTES {
            self.remove(0);
        }
    }
}

/// The pieces are not of one packet.
struct Contradiction;

impl Packet {
    fn new(key: Key, now: Instant) -> Self {
        Self {
            key,
            expires: now + PATIENCE,
            headers: Vec::new(),
            bytes: Vec::new(),
            pieces: Vec::new(),
            length: None,
        }
    }

    /// Adds a piece, and tells whether all are there.
    fn add(&mut self, piece: Piece<'_>) -> Result<bool, Contradiction> {
        let range = piece.offset..piece.offset + piece.bytes.len();
        let place = self.pieces.partition_point(|other| other.start < range.start);
        if self.pieces.get(place) == Some(&range) && self.bytes.get(range.clone()) == Some(piece.bytes) {
            return Ok(false);
        }
        let overlaps = self.pieces.get(place).is_some_and(|next| next.start < range.end)
            || place > 0 && self.pieces[place - 1].end > range.start;
        let ends_otherwise = match self.length {
            Some(length) => range.end > length || piece.is_last && range.end != length,
            None => piece.is_last && self.pieces.last().is_some_and(|last| last.end > range.end),
        };
        if overlaps || ends_otherwise || self.pieces.len() == PIECES {
            return Err(Contradiction);
        }
        if self.bytes.len() < range.end {
            self.bytes.resize(range.end, 0);
        }
        self.bytes[range.clone()].copy_from_slice(piece.bytes);
        if piece.offset == 0 {
            self.headers = piece.headers;
        }
        if piece.is_last {
            self.length = Some(range.end);
        }
        self.pieces.insert(place, range);
        // They do not overlap, so as many bytes as the packet has are all of them.
        let there: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        Ok(self.length == Some(there))
    }

    fn into_frame(self) -> Vec<u8> {
        let mut frame = self.headers;
        frame.extend_from_slice(&self.bytes);
        frame
    }
}

fn read_v4(frame: &[u8]) -> Option<Piece<'_>> {
    if frame.get(12..14)? != TYPE_IPV4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(&frame[ETHERNET_HEADER..]).ok()?;
    if !packet.verify_checksum() {
        return None;
    }
    let start = ETHERNET_HEADER + usize::from(packet.header_len());
    let bytes = frame.get(start..ETHERNET_HEADER + usize::from(packet.total_len()))?;
    let mut addresses = [0; 32];
    addresses[..8].copy_from_slice(frame.get(26..34)?);
    // Options are not needed any more.
    let headers = Vec::from(frame.get(..ETHERNET_HEADER + IPV4_HEADER)?);
    Some(Piece {
        key: (addresses, frame[23], packet.ident().into()),
        headers,
        offset: packet.frag_offset().into(),
        is_last: !packet.more_frags(),
        bytes,
    })
}

fn finish_v4(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let length = u16::try_from(frame.len() - ETHERNET_HEADER).ok()?;
    let header = frame.get_mut(ETHERNET_HEADER..)?;
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[6..8].fill(0);
    Ipv4Packet::new_unchecked(header).fill_checksum();
    Some(frame)
}

fn read_v6<'a>(headers: &[u8], payload: &'a [u8]) -> Option<Piece<'a>> {
    let (fragment, bytes) = payload.split_first_chunk::<8>()?;
    let place = u16::from_be_bytes([fragment[2], fragment[3]]);
    let addresses: [u8; 32] = *headers.get(22..)?.first_chunk()?;
    let mut headers = Vec::from(headers);
    headers[20] = fragment[0];
    let number = u32::from_be_bytes([fragment[4], fragment[5], fragment[6], fragment[7]]);
    Some(Piece {
        // The protocol is that of the first piece (RFC 8200, 4.5).
        key: (addresses, PROTOCOL_FRAGMENT, number),
        headers,
        offset: usize::from(place & !7),
        is_last: place & 1 == 0,
        bytes,
    })
}

fn finish_v6(mut frame: Vec<u8>) -> Option<Vec<u8>> {
    let length = u16::try_from(frame.len() - ETHERNET_HEADER - IPV6_HEADER).ok()?;
    if frame[12..14] != TYPE_IPV6 {
        return None;
    }
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    Some(frame)
}

/// Tells whether options may be passed over by whom does not know them (RFC 8200, 4.2).
fn are_skippable(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        if *kind == 0 {
            options = rest;
            continue;
        }
        let Some(after) = rest.first().and_then(|length| rest.get(1 + usize::from(*length)..)) else {
            return false;
        };
        if kind & 0xc0 != 0 {
            return false;
        }
        options = after;
    }
    true
}

#[cfg(test)]
mod tests;

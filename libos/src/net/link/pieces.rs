//! Packets that are longer than what the wire carries: they are cut into pieces (RFC 791, 3.2; RFC 8200, 4.5), which
//! wait here until the device has room for them.

use super::Link;
use super::neighbors::put;
use crate::net::device::Outlet;
use crate::net::frame::{ETHERNET_HEADER, IPV4_HEADER, IPV6_HEADER, PROTOCOL_FRAGMENT, TYPE_IPV4};
use crate::net::hash::Keys;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use smoltcp::wire::Ipv4Packet;

/// Bytes of the header that says where a piece of an IPv6 packet belongs.
const FRAGMENT_HEADER: usize = 8;
/// Pieces start at multiples of so many bytes.
const UNIT: usize = 8;

/// The pieces that wait.
#[derive(Debug)]
pub(super) struct Pieces {
    frames: VecDeque<Vec<u8>>,
    /// The number of the next packet: its pieces have it in common, and no others soon.
    number: u32,
}

impl Link {
    /// Sends the pieces that wait, as far as there is room, and tells whether that was all.
    #[inline]
    pub(crate) fn send_pieces(&mut self, transmitter: &mut dyn Outlet) -> bool {
        self.local.pieces.frames.is_empty() || self.send_some_pieces(transmitter)
    }

    pub(crate) fn has_pieces(&self) -> bool {
        !self.local.pieces.frames.is_empty()
    }

    #[cold]
    fn send_some_pieces(&mut self, transmitter: &mut dyn Outlet) -> bool {
        while transmitter.has_room() {
            let Some(frame) = self.local.pieces.frames.pop_front() else { return true };
            put(&frame, transmitter);
        }
        !self.has_pieces()
    }
}

impl Pieces {
    /// `seed` is a secret, and what it gives here tells nothing about it: strangers see the numbers.
    pub(super) fn new(seed: u64) -> Self {
        let mut hasher = Keys::new(seed.rotate_left(16), seed.rotate_left(48)).build_hasher();
        hasher.write_u32(PROTOCOL_FRAGMENT.into());
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        Self { frames: VecDeque::new(), number: u32::from_le_bytes([a, b, c, d]) }
    }

    /// Cuts a frame with a packet into such with packets of at most `mtu` bytes.
    pub(super) fn cut(&mut self, frame: &[u8], mtu: usize) {
        let number = self.number;
        self.number = number.wrapping_add(1);
        let is_v4 = frame.get(12..14) == Some(&TYPE_IPV4);
        let own_headers = if is_v4 { IPV4_HEADER } else { IPV6_HEADER };
        let added = if is_v4 { 0 } else { FRAGMENT_HEADER };
        let Some((headers, payload)) = frame.split_at_checked(ETHERNET_HEADER + own_headers) else { return };
        let length = (mtu.saturating_sub(own_headers + added) / UNIT * UNIT).max(UNIT);
        let mut offset = 0;
        for bytes in payload.chunks(length) {
            let has_more = offset + bytes.len() < payload.len();
            let mut piece = Vec::with_capacity(headers.len() + added + bytes.len());
            piece.extend_from_slice(headers);
            if is_v4 {
                head_v4(&mut piece[ETHERNET_HEADER..], bytes.len(), offset, has_more, number);
            } else {
                let fragment = head_v6(&mut piece[ETHERNET_HEADER..], bytes.len(), offset, has_more, number);
                piece.extend_from_slice(&fragment);
            }
            piece.extend_from_slice(bytes);
            self.frames.push_back(piece);
            offset += bytes.len();
        }
    }
}

/// Makes the header of a whole packet that of a piece. Routers may cut it again.
fn head_v4(header: &mut [u8], length: usize, offset: usize, has_more: bool, number: u32) {
    let mut packet = Ipv4Packet::new_unchecked(header);
    packet.set_total_len(short(IPV4_HEADER + length));
    packet.set_ident(short(number as usize & 0xffff));
    packet.clear_flags();
    packet.set_more_frags(has_more);
    packet.set_frag_offset(short(offset));
    packet.fill_checksum();
}

/// The same for IPv6. Returns what follows the header.
fn head_v6(header: &mut [u8], length: usize, offset: usize, has_more: bool, number: u32) -> [u8; 8] {
    let protocol = header[6];
    header[4..6].copy_from_slice(&short(FRAGMENT_HEADER + length).to_be_bytes());
    header[6] = PROTOCOL_FRAGMENT;
    let [a, b] = short(offset | usize::from(has_more)).to_be_bytes();
    let [c, d, e, f] = number.to_be_bytes();
    [protocol, 0, a, b, c, d, e, f]
}

fn short(number: usize) -> u16 {
    // A packet has less than 65 536 bytes.
    u16::try_from(number).unwrap_or(u16::MAX)
}

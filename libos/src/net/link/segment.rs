//! TCP segments without detours: headers of the usual form are read and written at their fixed places.
//!
//! Nearly every segment of an open connection is IPv4 without options and TCP without options or with a timestamp
//! alone. [`read`] takes exactly those and leaves all others to the stack behind, which parses everything; both give
//! the same, which a test holds on many frames. What stands in the headers of all segments of a connection is made
//! once, as a [`Path`].

use crate::net::checksum::{self, TCP_CHECKSUM};
use crate::net::device::{Checksums, Finish, TcpPlace};
use crate::net::frame::{ETHERNET_HEADER, IPV4_HEADER, PROTOCOL_TCP, TYPE_IPV4, Tuple};
use core::net::IpAddr;
use core::num::NonZeroU16;
use services::io::net::Carrier;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    IpAddress, IpProtocol, IpRepr, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, TcpTimestampRepr,
};

/// Version 4 and a header of five words (RFC 791).
const VERSION_AND_LENGTH: u8 = 0x45;
const TCP_HEADER: usize = 20;
/// Where the TCP segment starts.
const TCP_START: usize = ETHERNET_HEADER + IPV4_HEADER;
#[expect(clippy::cast_possible_truncation, reason = "the place of a header is small")]
const START: u16 = TCP_START as u16;
/// Headers of a segment without options.
const HEADERS: usize = TCP_START + TCP_HEADER;
/// Bytes of the headers that are the same for all segments of a connection, but for two fields: to the ports.
const PREFIX: usize = TCP_START + 4;
/// No operation twice, then a timestamp (RFC 7323, appendix A).
const TIMESTAMP: [u8; 4] = [1, 1, 8, 10];
const TIMESTAMP_BYTES: usize = 12;

const FLAG_FIN: u8 = 0x01;
const FLAG_PSH: u8 = 0x08;
const FLAG_ACK: u8 = 0x10;
/// FIN, SYN, RST, PSH, ACK, URG.
const FLAGS: u8 = 0x3f;

/// How long a path is used before the table of neighbours is looked at again.
const LIFETIME: Duration = Duration::from_secs(4);

/// What the headers of all segments of one connection have in common, and where they go.
#[derive(Debug)]
pub(crate) struct Path {
    prefix: [u8; PREFIX],
    /// Sum of the words of the IPv4 header but those with the total length and the time to live.
    header_sum: u32,
    /// Sum of the words of the pseudo-header but the length of the segment.
    pseudo_sum: u32,
    /// State of the table of neighbours that it was made from.
    generation: u32,
    until: Instant,
}

impl Path {
    /// Makes the path from `own` to `next`, two Ethernet addresses, for what `protocol` sends between the ends of
    /// `tuple`; `None` unless they are of IPv4.
    pub(super) fn new(
        own: [u8; 6],
        next: [u8; 6],
        protocol: u8,
        tuple: Tuple,
        generation: u32,
        now: Instant,
    ) -> Option<Self> {
        let (IpAddr::V4(local), IpAddr::V4(remote)) = (tuple.local, tuple.remote) else { return None };
        let mut prefix = [0; PREFIX];
        prefix[..6].copy_from_slice(&next);
        prefix[6..12].copy_from_slice(&own);
        prefix[12..14].copy_from_slice(&TYPE_IPV4);
        prefix[14] = VERSION_AND_LENGTH;
        // Don't fragment.
        prefix[20] = 0x40;
        prefix[23] = protocol;
        prefix[26..30].copy_from_slice(&local.octets());
        prefix[30..34].copy_from_slice(&remote.octets());
        prefix[34..36].copy_from_slice(&tuple.local_port.to_be_bytes());
        prefix[36..38].copy_from_slice(&tuple.remote_port.to_be_bytes());
        let sum = |bytes: &[u8]| -> u32 {
            bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
        };
        Some(Self {
            header_sum: sum(&prefix[ETHERNET_HEADER..TCP_START]),
            pseudo_sum: sum(&prefix[26..TCP_START]) + u32::from(protocol),
            prefix,
            generation,
            until: now + LIFETIME,
        })
    }

    /// Tells whether the path may be used while the table of neighbours is in state `generation`.
    pub(super) fn is_valid(&self, generation: u32, now: Instant) -> bool {
        self.generation == generation && now < self.until
    }

    /// Writes a segment; `frame` is as long as it. Fills the checksum in if the device does not.
    pub(super) fn write(&self, hop_limit: u8, segment: &TcpRepr<'_>, checksums: Checksums, frame: &mut [u8]) {
        let length = u16::try_from(frame.len() - ETHERNET_HEADER).unwrap_or(u16::MAX);
        let Some((headers, rest)) = frame.split_first_chunk_mut::<HEADERS>() else { return };
        self.write_prefix(hop_limit, length, headers);
        if rest.len() == segment.payload.len() {
            write_plain(segment, headers);
            rest.copy_from_slice(segment.payload);
        } else {
            let addresses = IpAddress::v4(0, 0, 0, 0);
            let mut packet = TcpPacket::new_unchecked(&mut frame[TCP_START..]);
            segment.emit(&mut packet, &addresses, &addresses, &ChecksumCapabilities::ignored());
        }
        if checksums == Checksums::Stack {
            return checksum::complete(frame);
        }
        let segment_length = u32::from(length) - 20;
        let place = TCP_START + TCP_CHECKSUM;
        frame[place..place + 2].copy_from_slice(&fold(self.pseudo_sum + segment_length).to_be_bytes());
    }

    /// Writes all up to the ports; the packet is of `length` bytes.
    #[inline]
    pub(super) fn write_prefix<const N: usize>(&self, hop_limit: u8, length: u16, headers: &mut [u8; N]) {
        headers[..PREFIX].copy_from_slice(&self.prefix);
        headers[16..18].copy_from_slice(&length.to_be_bytes());
        headers[22] = hop_limit;
        let sum = self.header_sum + u32::from(length) + (u32::from(hop_limit) << 8);
        headers[24..26].copy_from_slice(&(!fold(sum)).to_be_bytes());
    }

    /// Returns the sum of the words of the pseudo-header of a segment or datagram of `length` bytes.
    pub(super) fn pseudo_sum(&self, length: u16) -> u32 {
        self.pseudo_sum + u32::from(length)
    }
}

/// Returns what is left to do for a segment that is written; `cut` are the bytes of the segments that the device shall
/// make of it.
#[inline]
pub(super) fn finish(
    segment: &TcpRepr<'_>,
    checksums: Checksums,
    cut: Option<NonZeroU16>,
    frame: &[u8],
) -> Finish {
    if checksums == Checksums::Stack {
        return Finish::Nothing;
    }
    let data = u16::try_from(frame.len() - segment.payload.len()).unwrap_or(0);
    let place = TcpPlace { carrier: Carrier::Ipv4, start: START, data };
    cut.map_or(Finish::Checksum(place), |size| Finish::Cut(place, size))
}

/// Returns the length of the frame with `segment`.
#[inline]
pub(super) fn frame_length(segment: &TcpRepr<'_>) -> usize {
    TCP_START + segment.buffer_len()
}

/// Reads a segment to the Ethernet address `own`, of the usual form and without SYN and RST; `None` for any other frame.
/// The checksum of the segment has been looked at.
pub(super) fn read(own: [u8; 6], frame: &[u8]) -> Option<(IpRepr, TcpRepr<'_>)> {
    let (headers, rest) = frame.split_first_chunk::<HEADERS>()?;
    let word = |at: usize| u16::from_be_bytes([headers[at], headers[at + 1]]);
    let double =
        |at: usize| u32::from_be_bytes([headers[at], headers[at + 1], headers[at + 2], headers[at + 3]]);
    let is_usual = headers[..6] == own
        && headers[12..14] == TYPE_IPV4
        && headers[14] == VERSION_AND_LENGTH
        && word(20) & 0x3fff == 0
        && headers[23] == PROTOCOL_TCP
        && has_right_sum(headers);
    let length = usize::from(word(16)).checked_sub(IPV4_HEADER)?;
    let flags = headers[47] & FLAGS;
    let (source, target) = (word(34), word(36));
    if !is_usual
        || flags & FLAG_ACK == 0
        || flags & !(FLAG_ACK | FLAG_PSH | FLAG_FIN) != 0
        || source == 0
        || target == 0
    {
        return None;
    }
    let segment = rest.get(..length.checked_sub(TCP_HEADER)?)?;
    let (timestamp, payload) = match headers[46] >> 4 {
        5 => (None, segment),
        8 => read_timestamp(segment)?,
        _ => return None,
    };
    let ip = Ipv4Repr {
        src_addr: double(26).into(),
        dst_addr: double(30).into(),
        next_header: IpProtocol::Tcp,
        payload_len: length,
        hop_limit: headers[22],
    };
    let segment = TcpRepr {
        src_port: source,
        dst_port: target,
        control: match flags & (FLAG_FIN | FLAG_PSH) {
            0 => TcpControl::None,
            FLAG_PSH => TcpControl::Psh,
            _ => TcpControl::Fin,
        },
        seq_number: TcpSeqNumber(double(38).cast_signed()),
        ack_number: Some(TcpSeqNumber(double(42).cast_signed())),
        window_len: word(48),
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp,
        payload,
    };
    Some((IpRepr::Ipv4(ip), segment))
}

fn read_timestamp(segment: &[u8]) -> Option<(Option<TcpTimestampRepr>, &[u8])> {
    let (options, payload) = segment.split_first_chunk::<TIMESTAMP_BYTES>()?;
    let [a, b, c, d, v0, v1, v2, v3, e0, e1, e2, e3] = *options;
    if [a, b, c, d] != TIMESTAMP {
        return None;
    }
    let (value, echo) = (u32::from_be_bytes([v0, v1, v2, v3]), u32::from_be_bytes([e0, e1, e2, e3]));
    Some((Some(TcpTimestampRepr::new(value, echo)), payload))
}

/// Writes the TCP header from the sequence number on; the checksum is left zero.
fn write_plain(segment: &TcpRepr<'_>, headers: &mut [u8; HEADERS]) {
    let control = match segment.control {
        TcpControl::None => 0,
        TcpControl::Psh => FLAG_PSH,
        TcpControl::Syn => 0x02,
        TcpControl::Fin => FLAG_FIN,
        TcpControl::Rst => 0x04,
    };
    let acknowledges = if segment.ack_number.is_some() { FLAG_ACK } else { 0 };
    let acknowledged = segment.ack_number.map_or(0, |number| number.0);
    headers[38..42].copy_from_slice(&segment.seq_number.0.to_be_bytes());
    headers[42..46].copy_from_slice(&acknowledged.to_be_bytes());
    headers[46] = 5 << 4;
    headers[47] = control | acknowledges;
    headers[48..50].copy_from_slice(&segment.window_len.to_be_bytes());
    headers[50..54].fill(0);
}

/// Tells whether the checksum of the IPv4 header is right. The order of the bytes does not matter (RFC 1071, 2).
pub(super) fn has_right_sum<const N: usize>(headers: &[u8; N]) -> bool {
    let double = |at: usize| {
        let bytes = [headers[at], headers[at + 1], headers[at + 2], headers[at + 3]];
        u64::from(u32::from_ne_bytes(bytes))
    };
    let sum = double(14) + double(18) + double(22) + double(26) + double(30);
    // Carries brought round leave the remainder by 65 535, and all ones is its other way to write zero; a sum that is
    // zero itself cannot be, with the version in it.
    sum.is_multiple_of(0xffff)
}

/// Folds a sum of words to the sum with carries brought round (RFC 1071).
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let [a, b, ..] = (sum + (sum >> 16)).to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests;

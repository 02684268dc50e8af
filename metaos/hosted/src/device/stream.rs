//! Frames on a stream socket, each behind its length: many a call in both directions.

use super::Progress;
use super::queue::{Queue, copy_to};
use crate::linux::{self, Errno, Piece};
use abi::hosted::descriptor;
use abi::hosted::network::{HEADER, LARGEST_FRAME};

/// Bytes of the length before each frame.
const PREFIX: usize = 4;
/// Bytes that are read at a time; the longest frame fits.
const CAPACITY: usize = 256 << 10;
/// Most frames a call.
const BATCH: usize = 32;
/// Most pieces of a frame, its length included.
const PIECES: usize = 5;

/// What is on its way between stream and rings.
pub(super) struct Staging {
    /// Where the bytes are that came in and are not yet in the guest's buffers.
    start: u64,
    from: usize,
    to: usize,
    /// Bytes of the next frame to be sent that the host has taken already.
    sent: usize,
}

impl Staging {
    pub(super) const NONE: Self = Self { start: 0, from: 0, to: 0, sent: 0 };

    /// Maps the memory.
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self { start: linux::map_anywhere(CAPACITY as u64)?, ..Self::NONE })
    }

    fn bytes(&mut self) -> &mut [u8] {
        let length = if self.start == 0 { 0 } else { CAPACITY };
        let start = core::ptr::with_exposed_provenance_mut(self.start as usize);
        // SAFETY: mapped by `new` for this value alone, or empty (a dangling pointer is not null then).
        unsafe { if length == 0 { &mut [] } else { core::slice::from_raw_parts_mut(start, length) } }
    }

    /// Returns the next frame, if all of it is there.
    fn next(&mut self) -> Option<(usize, usize)> {
        let (from, to) = (self.from, self.to);
        let prefix = self.bytes()[from..to].first_chunk::<PREFIX>()?;
        let length = u32::from_be_bytes(*prefix) as usize;
        (to - from >= PREFIX + length).then_some((from + PREFIX, length))
    }

    /// Tells whether what comes next can be no frame.
    fn is_nonsense(&mut self) -> bool {
        let (from, to) = (self.from, self.to);
        let prefix = self.bytes()[from..to].first_chunk::<PREFIX>();
        prefix.is_some_and(|prefix| u32::from_be_bytes(*prefix) as usize > LARGEST_FRAME)
    }

    /// Moves what is left to the start, so that there is room behind it.
    fn compact(&mut self) {
        let (from, to) = (self.from, self.to);
        self.bytes().copy_within(from..to, 0);
        (self.from, self.to) = (0, to - from);
    }
}

/// Receives what is there.
pub(super) fn receive(queue: &mut Queue, staging: &mut Staging) -> Progress {
    loop {
        if hand_over(queue, staging) == Progress::Blocked {
            return Progress::Blocked;
        }
        if staging.is_nonsense() {
            return Progress::Dead;
        }
        staging.compact();
        let to = staging.to;
        match linux::receive(descriptor::NETWORK, &mut staging.bytes()[to..]) {
            Ok(0) => return Progress::Dead,
            Ok(count) => staging.to += count,
            Err(Errno::INTERRUPTED) => {}
            Err(Errno::AGAIN) => return Progress::Done,
            Err(_) => return Progress::Dead,
        }
    }
}

/// Copies whole frames into buffers of the guest.
fn hand_over(queue: &mut Queue, staging: &mut Staging) -> Progress {
    while let Some((start, length)) = staging.next() {
        if queue.waiting() == 0 {
            return Progress::Blocked;
        }
        let mut buffer = [Piece::EMPTY];
        queue.pieces(queue.head(0), &mut buffer);
        let [buffer] = buffer;
        let room = (buffer.length as usize).saturating_sub(HEADER);
        if length <= room {
            copy_to(buffer, &[0; HEADER]);
            let behind = Piece { start: buffer.start + HEADER as u64, length: room as u64 };
            copy_to(behind, &staging.bytes()[start..start + length]);
            queue.finish((HEADER + length) as u32);
        }
        staging.from = start + length;
    }
    Progress::Done
}

/// Sends what the ring holds.
pub(super) fn send(queue: &mut Queue, staging: &mut Staging) -> Progress {
    loop {
        let count = usize::from(queue.waiting()).min(BATCH);
        if count == 0 {
            return Progress::Done;
        }
        let mut prefixes = [[0; PREFIX]; BATCH];
        let mut pieces = [Piece::EMPTY; PIECES * BATCH];
        let mut ends = [0; BATCH];
        let mut used = 0;
        let mut total = 0;
        for (ahead, (prefix, end)) in (0..).zip(prefixes.iter_mut().zip(&mut ends)).take(count) {
            let frame = &mut pieces[used..used + PIECES];
            let frame_pieces = 1 + lay_out(queue, ahead, prefix, frame);
            total += frame[..frame_pieces].iter().map(|piece| piece.length as usize).sum::<usize>();
            used += frame_pieces;
            *end = total;
        }
        skip(&mut pieces[..used], staging.sent as u64);
        match linux::send(descriptor::NETWORK, &pieces[..used]) {
            Ok(bytes) => {
                let reached = staging.sent + bytes;
                let finished = ends[..count].iter().take_while(|end| **end <= reached).count();
                (0..finished).for_each(|_| queue.finish(0));
                staging.sent = reached - finished.checked_sub(1).map_or(0, |last| ends[last]);
            }
            Err(Errno::INTERRUPTED) => {}
            Err(Errno::AGAIN) => return Progress::Blocked,
            Err(_) => return Progress::Dead,
        }
    }
}

/// Lays out a frame without its virtio header, behind its length; returns the pieces without the length.
fn lay_out(queue: &Queue, ahead: u16, prefix: &mut [u8; PREFIX], frame: &mut [Piece]) -> usize {
    let count = queue.pieces(queue.head(ahead), &mut frame[1..]);
    skip(&mut frame[1..=count], HEADER as u64);
    let length: u64 = frame[1..=count].iter().map(|piece| piece.length).sum();
    *prefix = (length as u32).to_be_bytes();
    frame[0] = Piece { start: linux::number_of(prefix.as_ptr().cast()), length: PREFIX as u64 };
    count
}

/// Takes the first `bytes` away.
fn skip(pieces: &mut [Piece], mut bytes: u64) {
    for piece in pieces {
        let skipped = bytes.min(piece.length);
        piece.start += skipped;
        piece.length -= skipped;
        bytes -= skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_skipped_across_pieces() {
        let mut pieces = [Piece { start: 100, length: 4 }, Piece { start: 200, length: 10 }];
        skip(&mut pieces, 6);
        assert_eq!(pieces.map(|piece| (piece.start, piece.length)), [(104, 0), (202, 8)]);
    }
}

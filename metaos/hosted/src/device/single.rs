//! One frame a call: a tap device, and packets that may be large.

use super::Progress;
use super::queue::{Queue, copy_to};
use crate::linux::{self, Errno, Piece};
use abi::hosted::descriptor;
use abi::hosted::network::{HEADER, LARGEST_FRAME};

/// Most pieces of a frame: 64 KiB in buffers of 2 KiB, header included.
const MOST_PIECES: usize = 34;
/// Most frames in a row, before the guest gets its turn.
const BATCH: usize = 64;
/// Where the header says how many buffers a frame spans.
const BUFFER_COUNT: u64 = 10;

/// Sends what the ring holds; the header of each frame says what is left to do for it.
pub(super) fn send(queue: &mut Queue) -> Progress {
    let mut pieces = [Piece::EMPTY; MOST_PIECES];
    while queue.waiting() > 0 {
        let count = queue.pieces(queue.head(0), &mut pieces);
        match linux::write_pieces(descriptor::NETWORK, &pieces[..count]) {
            Err(Errno::INTERRUPTED) => continue,
            Err(Errno::AGAIN) => return Progress::Blocked,
            // A frame that the host does not like is lost, as on a wire.
            Ok(_) | Err(_) => queue.finish(0),
        }
    }
    Progress::Done
}

/// Receives a batch; with `merges` a frame may span buffers.
pub(super) fn receive(queue: &mut Queue, merges: bool) -> Progress {
    for _ in 0..BATCH {
        let mut pieces = [Piece::EMPTY; MOST_PIECES];
        let count = offer(queue, merges, &mut pieces);
        if count == 0 {
            return Progress::Blocked;
        }
        match linux::read_pieces(descriptor::NETWORK, &pieces[..count]) {
            Ok(0) => return Progress::Dead,
            Ok(length) => accept(queue, &pieces[..count], length),
            Err(Errno::INTERRUPTED) => {}
            Err(Errno::AGAIN) => return Progress::Done,
            Err(_) => return Progress::Dead,
        }
    }
    Progress::Done
}

/// Lays out the buffers for the next frame and returns how many they are; 0: there are too few.
fn offer(queue: &Queue, merges: bool, pieces: &mut [Piece; MOST_PIECES]) -> usize {
    let wanted = if merges { HEADER + LARGEST_FRAME } else { 1 };
    let waiting = queue.waiting();
    let mut room = 0;
    for (count, ahead) in (0..waiting).enumerate().take(MOST_PIECES) {
        queue.pieces(queue.head(ahead), &mut pieces[count..=count]);
        room += pieces[count].length as usize;
        if room >= wanted {
            return count + 1;
        }
    }
    0
}

/// Gives back the buffers that `length` bytes lie in.
fn accept(queue: &mut Queue, pieces: &[Piece], length: usize) {
    let mut left = length as u64;
    let count = pieces.iter().take_while(|piece| {
        let is_used = left > 0;
        left = left.saturating_sub(piece.length);
        is_used
    });
    let count = count.count();
    let first = pieces[0];
    let place =
        Piece { start: first.start + BUFFER_COUNT, length: first.length.saturating_sub(BUFFER_COUNT) };
    copy_to(place, &(count as u16).to_le_bytes());
    let mut left = length as u64;
    for piece in &pieces[..count] {
        let written = left.min(piece.length);
        left -= written;
        queue.finish(written as u32);
    }
}

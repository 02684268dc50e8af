//! A run that repeats bit for bit: whoever is at the other end says what time it is, and what comes in then.

use super::queue::Queue;
use crate::linux::{self, Errno, Piece};
use abi::hosted::descriptor;
use abi::hosted::network::TIME;

/// Says that the guest would sleep until `deadline_ns`, waits for what happens before, puts a frame that comes in into a
/// buffer of `queue`, and returns what time it is; `None`: the other end is gone.
pub(super) fn step(deadline_ns: u64, queue: &mut Queue) -> Option<u64> {
    let mut deadline = deadline_ns.to_le_bytes();
    send(&[piece(&mut deadline)])?;
    let mut now = [0; TIME];
    let mut pieces = [piece(&mut now), Piece::EMPTY];
    let has_buffer = queue.waiting() > 0;
    if has_buffer {
        queue.pieces(queue.head(0), &mut pieces[1..]);
    }
    let length = receive(&pieces)?;
    // A frame for which there is no buffer is lost, as on any card.
    if has_buffer && length > TIME {
        queue.finish((length - TIME) as u32);
    }
    Some(u64::from_le_bytes(now))
}

fn send(pieces: &[Piece]) -> Option<()> {
    loop {
        match linux::write_pieces(descriptor::NETWORK, pieces) {
            Ok(_) => return Some(()),
            Err(Errno::INTERRUPTED) => {}
            Err(_) => return None,
        }
    }
}

fn receive(pieces: &[Piece]) -> Option<usize> {
    loop {
        match linux::read_pieces(descriptor::NETWORK, pieces) {
            Ok(length) if length >= TIME => return Some(length),
            Err(Errno::INTERRUPTED) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

fn piece(bytes: &mut [u8]) -> Piece {
    Piece { start: linux::number_of(bytes.as_mut_ptr().cast()), length: bytes.len() as u64 }
}

//! Many small frames a call: a socket that keeps messages apart.

use super::Progress;
use super::queue::Queue;
use crate::linux::{self, BatchMessage, Errno, Piece};
use abi::hosted::descriptor;
use core::array;

/// Most frames a call.
const BATCH: usize = 32;
/// Most pieces of a frame that is sent: the driver's ring may end in its middle.
const PIECES: usize = 4;

/// Sends what the ring holds.
pub(super) fn send(queue: &mut Queue) -> Progress {
    loop {
        let count = usize::from(queue.waiting()).min(BATCH);
        if count == 0 {
            return Progress::Done;
        }
        let mut pieces = [[Piece::EMPTY; PIECES]; BATCH];
        let mut messages = [BatchMessage::EMPTY; BATCH];
        for (ahead, (pieces, message)) in (0..).zip(pieces.iter_mut().zip(&mut messages)).take(count) {
            let length = queue.pieces(queue.head(ahead), pieces);
            *message = BatchMessage::of(&pieces[..length]);
        }
        match linux::send_batch(descriptor::NETWORK, &mut messages[..count]) {
            Ok(sent) => (0..sent).for_each(|_| queue.finish(0)),
            Err(Errno::INTERRUPTED) => {}
            Err(Errno::AGAIN) => return Progress::Blocked,
            // The first is one that the host does not take.
            Err(error) if error == Errno::TOO_LONG => queue.finish(0),
            Err(_) => return Progress::Dead,
        }
    }
}

/// Receives a batch, each frame in one buffer.
pub(super) fn receive(queue: &mut Queue) -> Progress {
    let count = usize::from(queue.waiting()).min(BATCH);
    if count == 0 {
        return Progress::Blocked;
    }
    let pieces: [Piece; BATCH] = array::from_fn(|ahead| {
        let mut piece = [Piece::EMPTY];
        if ahead < count {
            queue.pieces(queue.head(ahead as u16), &mut piece);
        }
        piece[0]
    });
    let mut messages: [BatchMessage; BATCH] =
        array::from_fn(|index| BatchMessage::of(core::slice::from_ref(&pieces[index])));
    match linux::receive_batch(descriptor::NETWORK, &mut messages[..count]) {
        Ok(0) => Progress::Dead,
        Ok(received) => {
            let messages = &messages[..received.min(count)];
            // An empty message is the end of the stream of them; what came before it counts.
            let whole = messages.iter().take_while(|message| message.length != 0);
            let given = whole.map(|message| queue.finish(message.length)).count();
            if given < messages.len() { Progress::Dead } else { Progress::Done }
        }
        Err(Errno::AGAIN | Errno::INTERRUPTED) => Progress::Done,
        Err(_) => Progress::Dead,
    }
}

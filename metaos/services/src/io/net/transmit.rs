//! Sending: a ring of bytes, filled in place.

use super::error::NetError;
use super::header::{HEADER_BYTES, Offload};
use super::plan::Plan;
use super::ring::Ring;
use crate::io::device::DeviceQueue;
use crate::io::dma::BufferPool;
use crate::io::virtqueue::{Buffer, Direction, QueueError};
use abi::BusAddr;

/// The ring is contiguous on the bus in pieces of this size.
const PIECE: usize = 64 << 10;
/// Pieces that a frame of 64 KiB can touch.
const MOST_PIECES: usize = 3;

/// The sending half of a network device. The token of each chain is the entry of its frame in the ring.
#[derive(Debug)]
pub struct Transmitter {
    pub(super) queue: DeviceQueue,
    pool: BufferPool,
    ring: Ring,
    frame_limit: usize,
    fault: Option<QueueError>,
    frames: u64,
}

impl Transmitter {
    pub(super) fn new(queue: DeviceQueue, plan: &Plan) -> Result<Self, NetError> {
        let size = plan.transmit_bytes.min(PIECE);
        let pool = BufferPool::new(plan.transmit_bytes / size, size, "network transmit ring")?;
        let ring = Ring::new(pool.count() * size, usize::from(queue.rings.size()));
        Ok(Self { queue, pool, ring, frame_limit: plan.capabilities.frame_limit, fault: None, frames: 0 })
    }

    /// Tells whether a frame can be sent now, however long. Takes the room of sent frames back when there is none, so
    /// that while sending goes on the used ring is looked at once a round of the ring.
    #[inline]
    pub fn can_transmit(&mut self) -> bool {
        self.has_room(HEADER_BYTES + self.frame_limit) || self.make_room(HEADER_BYTES + self.frame_limit)
    }

    /// Returns the length of the longest frame that can be sent, in bytes.
    #[must_use]
    pub const fn frame_limit(&self) -> usize {
        self.frame_limit
    }

    /// Sends a frame of `length` bytes that `fill` writes in place (it finds old bytes there); `fill` also says what
    /// the device shall do with it. The device gets it with the next flush. Returns what `fill` does. Does not allocate.
    ///
    /// # Errors
    ///
    /// Gives `fill` back if there is no room (see [`can_transmit`](Self::can_transmit)) or the frame is longer than
    /// [`frame_limit`](Self::frame_limit).
    #[inline]
    pub fn transmit<R, F: FnOnce(&mut [u8]) -> (R, Offload)>(
        &mut self,
        length: usize,
        fill: F,
    ) -> Result<R, F> {
        let bytes = HEADER_BYTES + length;
        if length > self.frame_limit || !self.has_room(bytes) && !self.make_room(bytes) {
            return Err(fill);
        }
        let Some(place) = self.ring.take(bytes) else { return Err(fill) };
        let span = self.pool.span(place.start, bytes);
        let Some((header, frame)) = span.split_first_chunk_mut::<HEADER_BYTES>() else { return Err(fill) };
        let (outcome, offload) = fill(frame);
        *header = offload.header();
        self.fault = self.add(place.start, bytes, place.entry).err();
        self.frames += 1;
        if self.queue.rings.free() < MOST_PIECES {
            // The next frame may take as many.
            self.ring.close();
        }
        Ok(outcome)
    }

    /// Returns how many frames were sent.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.fault.is_some()
    }

    /// Shows the device what was sent since the last time, and rings its doorbell if it wants to hear of it.
    pub fn flush(&mut self) {
        self.queue.publish();
    }

    pub(super) fn suppress_interrupts(&self) {
        self.queue.rings.suppress_interrupts();
    }

    /// Asks for an interrupt if there is no room to send, and tells whether there is something to do already. With
    /// room nobody waits for sent frames.
    pub(super) fn enable_interrupts_if_full(&mut self) -> bool {
        let bytes = HEADER_BYTES + self.frame_limit;
        if self.is_broken() || self.has_room(bytes) {
            return self.is_broken();
        }
        // Room that comes back is work, but once: left in the ring, it would count as work for ever.
        if self.make_room(bytes) || self.is_broken() {
            return true;
        }
        self.queue.rings.enable_interrupts().unwrap_or_else(|error| {
            self.fault = Some(error);
            true
        })
    }

    #[inline]
    fn has_room(&self, bytes: usize) -> bool {
        self.ring.has_room(bytes)
    }

    /// Takes the room of sent frames back.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, bytes: usize) -> bool {
        self.reclaim();
        self.queue.rings.free() >= MOST_PIECES && self.ring.turn(bytes) && !self.is_broken()
    }

    #[inline]
    fn add(&mut self, start: usize, bytes: usize, token: u16) -> Result<(), QueueError> {
        if start % PIECE + bytes <= PIECE {
            let whole = self.buffer(start, bytes);
            return self.queue.rings.add_one(whole, token);
        }
        self.add_pieces(start, bytes, token)
    }

    #[cold]
    fn add_pieces(&mut self, start: usize, bytes: usize, token: u16) -> Result<(), QueueError> {
        let first = PIECE - start % PIECE;
        let second = (bytes - first).min(PIECE);
        let third = bytes - first - second;
        // Without a third piece the last one names no byte, and is not used.
        let pieces = [
            self.buffer(start, first),
            self.buffer(start + first, second),
            self.buffer(start + bytes - third.max(1), third),
        ];
        let count = if third == 0 { 2 } else { MOST_PIECES };
        self.queue.rings.add(&pieces[..count], token)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a piece is at most 64 KiB")]
    fn buffer(&self, at: usize, length: usize) -> Buffer {
        let bus = BusAddr(self.pool.bus(at / PIECE).0 + (at % PIECE) as u64);
        Buffer { bus, length: length as u32, direction: Direction::ToDevice }
    }

    fn reclaim(&mut self) {
        for _ in 0..self.ring.in_flight() {
            match self.queue.rings.pop() {
                Ok(Some(completion)) => self.ring.finish(completion.token),
                Ok(None) => return,
                // Nothing is writable in this queue, so any length is a lie without consequence.
                Err(QueueError::LengthTooLong { token }) => self.ring.finish(token),
                Err(error) => {
                    self.fault = Some(error);
                    return;
                }
            }
        }
    }
}

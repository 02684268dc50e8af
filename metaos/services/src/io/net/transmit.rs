//! Sending: a stack of free buffers, filled in place.

use super::error::NetError;
use super::header::{HEADER_BYTES, Offload};
use super::plan::Plan;
use crate::io::device::DeviceQueue;
use crate::io::dma::BufferPool;
use crate::io::virtqueue::{Buffer, Direction, QueueError};
use crate::memory::state::{self, StateVec};

/// The sending half of a network device. The token of each chain is the index of its buffer.
#[derive(Debug)]
pub struct Transmitter {
    pub(super) queue: DeviceQueue,
    pub(super) pool: BufferPool,
    free: StateVec<u16>,
    fault: Option<QueueError>,
}

impl Transmitter {
    pub(super) fn new(queue: DeviceQueue, plan: &Plan) -> Result<Self, NetError> {
        let count = queue.rings.free().min(usize::from(plan.transmit_buffers));
        let pool = BufferPool::new(count, plan.transmit_size, "network transmit buffers")?;
        let mut free = state::vector();
        free.extend((0..).take(pool.count()));
        Ok(Self { queue, pool, free, fault: None })
    }

    /// Tells whether a frame can be sent now. Takes sent buffers back when none is free, so that while sending goes on
    /// the used ring is looked at once a round of the ring.
    pub fn can_transmit(&mut self) -> bool {
        if self.free.is_empty() {
            self.reclaim();
        }
        !self.free.is_empty() && !self.is_broken()
    }

    /// Returns the longest frame that can be sent, in bytes.
    #[must_use]
    pub const fn frame_limit(&self) -> usize {
        self.pool.size() - HEADER_BYTES
    }

    /// Sends a frame of `length` bytes that `fill` writes in place (it finds old bytes there); the device gets it with
    /// the next flush. Returns what `fill` does, or `None` without calling it if no buffer is free (see
    /// [`can_transmit`](Self::can_transmit)) or the frame is longer than [`frame_limit`](Self::frame_limit).
    /// Does not allocate.
    pub fn transmit<R>(
        &mut self,
        length: usize,
        offload: Offload,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Option<R> {
        if length > self.frame_limit() || !self.can_transmit() {
            return None;
        }
        let bytes = u32::try_from(HEADER_BYTES + length).ok()?;
        let index = self.free.pop()?;
        let (header, frame) = self.pool.bytes(usize::from(index)).split_first_chunk_mut::<HEADER_BYTES>()?;
        *header = offload.header();
        let outcome = fill(&mut frame[..length]);
        let bus = self.pool.bus(usize::from(index));
        self.fault = self
            .queue
            .rings
            .add_one(Buffer { bus, length: bytes, direction: Direction::ToDevice }, index)
            .err();
        Some(outcome)
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

    /// Asks for an interrupt if there is no free buffer to send with, and tells whether there is something to do
    /// already. With free buffers nobody waits for sent frames.
    pub(super) fn enable_interrupts_if_full(&mut self) -> bool {
        if self.free.is_empty() {
            // Room that comes back is work, but once: left in the ring, it would count as work for ever.
            self.reclaim();
            if !self.free.is_empty() {
                return true;
            }
        }
        if !self.free.is_empty() || self.is_broken() {
            return self.is_broken();
        }
        self.queue.rings.enable_interrupts().unwrap_or_else(|error| {
            self.fault = Some(error);
            true
        })
    }

    fn reclaim(&mut self) {
        for _ in 0..self.pool.count() {
            match self.queue.rings.pop() {
                Ok(Some(completion)) => self.free.push(completion.token),
                Ok(None) => return,
                // Nothing is writable in this queue, so any length is a lie without consequence.
                Err(QueueError::LengthTooLong { token }) => self.free.push(token),
                Err(error) => {
                    self.fault = Some(error);
                    return;
                }
            }
        }
    }
}

//! Receiving: buffers that wait in the device, and frames that are lent out of them.
//!
//! A large frame spans several buffers (virtio 1.2, 5.1.6.4). Buffers are consecutive in virtual memory and are given
//! to the device in the order of their addresses, round and round, and a device uses them in the order it got them; so
//! a large frame is one slice, and nothing is copied. Only where the round starts anew, its rest is copied behind the
//! last buffer, where some buffers are kept that the device never gets. A device that picks buffers in another order is
//! served as well, by copying whole frames.

use super::error::NetError;
use super::header::{Checksum, HEADER_BYTES, buffer_count};
use super::plan::Plan;
use crate::io::device::{DeviceError, DeviceQueue};
use crate::io::dma::BufferPool;
use crate::io::virtqueue::{Buffer, Completion, Direction, QueueError};
use core::ops::{Deref, DerefMut};

/// Length of an Ethernet header; a shorter frame is none.
const LEAST_FRAME: usize = 14;
const LEAST_RUN: usize = HEADER_BYTES + LEAST_FRAME;
/// How many bad frames are passed over before the caller gets its turn again.
const PATIENCE: usize = 64;
/// Most buffers that a frame spans: 64 KiB in buffers of 2 KiB, header included.
const MOST_PARTS: usize = 33;

/// The receiving half of a network device. The token of each chain is the index of its buffer.
#[derive(Debug)]
pub struct Receiver {
    pub(super) queue: DeviceQueue,
    pool: BufferPool,
    /// Buffers that the device gets; those behind are spare.
    count: usize,
    buffer_bytes: u32,
    /// Most buffers of a frame.
    parts: usize,
    /// The buffers of the frame that is lent out, in their order.
    lent: [u16; MOST_PARTS],
    lent_count: usize,
    is_broken: bool,
    frames: u64,
    dropped: u64,
}

/// A frame that came in, in the buffers the device wrote it to. They go back with the next frame or flush.
#[derive(Debug)]
pub struct Frame<'a> {
    bytes: &'a mut [u8],
    checksum: Checksum,
}

/// Where a frame lies in the pool, with its header.
struct Run {
    start: usize,
    length: usize,
}

impl Receiver {
    pub(super) fn new(queue: DeviceQueue, plan: &Plan) -> Result<Self, NetError> {
        let count = queue.rings.free().min(usize::from(plan.receive_buffers));
        let parts = usize::from(plan.receive_parts).min(MOST_PARTS);
        let spare = if parts > 1 { parts } else { 0 };
        let pool = BufferPool::new(count + spare, plan.receive_size, "network receive buffers")?;
        // A plan's buffers are far smaller; `expect` would link all that shows errors of conversion.
        let buffer_bytes = u32::try_from(pool.size()).unwrap_or(u32::MAX);
        let lent = [0; MOST_PARTS];
        let mut receiver = Self {
            queue,
            pool,
            count,
            buffer_bytes,
            parts,
            lent,
            lent_count: 0,
            is_broken: false,
            frames: 0,
            dropped: 0,
        };
        for index in (0..).take(count) {
            receiver.post(index).map_err(DeviceError::from)?;
        }
        Ok(receiver)
    }

    /// Returns the next frame that came in. Does not allocate.
    #[inline]
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        self.give_back();
        let (index, written) = self.take_buffer()?;
        let run = Run { start: usize::from(index) * self.pool.size(), length: written };
        if run.length >= LEAST_RUN && self.parts_of(&run) == 1 {
            return self.lend(&run);
        }
        let run = self.next_unusual(run)?;
        self.lend(&run)
    }

    /// Returns how many frames came in.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns how many completions were dropped because they were no frames.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Gives the buffers of the last frame back, and shows the device those since the last time.
    pub fn flush(&mut self) {
        self.give_back();
        self.queue.publish();
    }

    pub(super) fn suppress_interrupts(&self) {
        self.queue.rings.suppress_interrupts();
    }

    /// Returns whether there is something to do already: a frame, or a fault to be attended to.
    pub(super) fn enable_interrupts(&mut self) -> bool {
        self.queue.rings.enable_interrupts().unwrap_or_else(|_| {
            self.is_broken = true;
            true
        })
    }

    #[inline]
    fn lend(&mut self, run: &Run) -> Option<Frame<'_>> {
        let (header, bytes) =
            self.pool.span(run.start, run.length).split_first_chunk_mut::<HEADER_BYTES>()?;
        self.frames += 1;
        Some(Frame { bytes, checksum: Checksum::read(header) })
    }

    /// Returns how many buffers the frame takes whose first one is `run`, as the device has it.
    #[inline]
    fn parts_of(&mut self, run: &Run) -> usize {
        let header = self.pool.span(run.start, run.length).first_chunk::<HEADER_BYTES>();
        let count = header.map_or(1, |header| usize::from(buffer_count(header)));
        if count == 1 || self.parts == 1 { 1 } else { count }
    }

    /// Takes the rest of a frame that does not lie in one buffer, and passes over what is no frame; `run` is the buffer
    /// that was taken. `None`: there is no frame, or the device broke the rules.
    #[inline(never)]
    fn next_unusual(&mut self, mut run: Run) -> Option<Run> {
        for _ in 0..PATIENCE {
            if run.length >= HEADER_BYTES {
                run = match self.parts_of(&run) {
                    1 => run,
                    count => self.collect(count, run.length)?,
                };
            }
            if run.length >= LEAST_RUN {
                return Some(run);
            }
            self.dropped += 1;
            self.give_back();
            let (index, written) = self.take_buffer()?;
            run = Run { start: usize::from(index) * self.pool.size(), length: written };
        }
        None
    }

    /// Takes the next buffer that the device has filled, as one of those that are lent; and how much is in it, which
    /// is nothing if the device says that it is more than fits.
    #[inline]
    fn take_buffer(&mut self) -> Option<(u16, usize)> {
        if self.is_broken {
            return None;
        }
        let (index, written) = match self.queue.rings.pop() {
            Ok(None) => return None,
            Ok(Some(Completion { token, written })) => (token, written as usize),
            Err(QueueError::LengthTooLong { token }) => (token, 0),
            Err(_) => {
                self.is_broken = true;
                return None;
            }
        };
        *self.lent.get_mut(self.lent_count)? = index;
        self.lent_count += 1;
        Some((index, written))
    }

    /// Takes the other buffers of a frame in `count` of them, of which the first holds `written` bytes.
    fn collect(&mut self, count: usize, written: usize) -> Option<Run> {
        if count == 0 || count > self.parts {
            self.is_broken = true;
            return None;
        }
        let size = self.pool.size();
        let mut length = written;
        for position in 1..count {
            let Some((_, written)) = self.take_buffer() else {
                // A device shows all buffers of a frame at once (virtio 1.2, 5.1.6.4.1).
                self.is_broken = true;
                return None;
            };
            // And fills all but the last.
            length = if length == position * size { length + written } else { 0 };
        }
        Some(self.join(length))
    }

    /// Makes one slice of the buffers that are lent.
    fn join(&mut self, length: usize) -> Run {
        let size = self.pool.size();
        let first = usize::from(self.lent[0]);
        let in_row = (first..self.count)
            .zip(&self.lent[..self.lent_count])
            .take_while(|(index, lent)| *index == usize::from(**lent))
            .count();
        // What is in a row stays if the rest can follow it: at the end of the round, where the spare buffers are.
        let is_whole = in_row == self.lent_count;
        let stays = if is_whole || first + in_row == self.count { in_row } else { 0 };
        let start = (if stays == 0 { self.count } else { first }) * size;
        for position in stays..self.lent_count {
            let from = usize::from(self.lent[position]) * size;
            let bytes = length.saturating_sub(position * size).min(size);
            let pool = self.pool.span(0, self.pool.count() * size);
            pool.copy_within(from..from + bytes, start + position * size);
        }
        Run { start, length }
    }

    /// Gives the buffers that are lent out back, in their order.
    #[inline]
    fn give_back(&mut self) {
        match self.lent_count {
            0 => {}
            1 => {
                self.lent_count = 0;
                let outcome = self.post(self.lent[0]);
                debug_assert!(outcome.is_ok(), "the descriptor that brought the buffer is free");
            }
            _ => self.give_all_back(),
        }
    }

    #[inline(never)]
    fn give_all_back(&mut self) {
        for position in 0..core::mem::take(&mut self.lent_count) {
            let outcome = self.post(self.lent[position]);
            debug_assert!(outcome.is_ok(), "the descriptors that brought the buffers are free");
        }
    }

    #[inline]
    fn post(&mut self, index: u16) -> Result<(), QueueError> {
        let bus = self.pool.bus(usize::from(index));
        let buffer = Buffer { bus, length: self.buffer_bytes, direction: Direction::FromDevice };
        self.queue.rings.add_one(buffer, index)
    }
}

impl Frame<'_> {
    /// Returns what the device says of the transport checksum.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }
}

impl Deref for Frame<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl DerefMut for Frame<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes
    }
}

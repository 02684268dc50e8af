//! Receiving: buffers that wait in the device, and frames that lend one out.

use super::error::NetError;
use super::header::{Checksum, HEADER_BYTES};
use super::plan::Plan;
use crate::io::device::{DeviceError, DeviceQueue};
use crate::io::dma::BufferPool;
use crate::io::virtqueue::{Buffer, Completion, Direction, QueueError};
use core::ops::{Deref, DerefMut};

/// Length of an Ethernet header; a shorter frame is none.
const LEAST_FRAME: usize = 14;
/// How many bad frames are passed over before the caller gets its turn again.
const PATIENCE: usize = 64;

/// The receiving half of a network device. The token of each chain is the index of its buffer.
#[derive(Debug)]
pub struct Receiver {
    pub(super) queue: DeviceQueue,
    pub(super) pool: BufferPool,
    buffer_bytes: u32,
    fault: Option<QueueError>,
    dropped: u64,
}

/// A frame that came in, in the buffer the device wrote it to. Gives the buffer back on drop; the device gets to know
/// of it with the next flush.
#[derive(Debug)]
pub struct Frame<'a> {
    bytes: &'a mut [u8],
    checksum: Checksum,
    queue: &'a mut DeviceQueue,
    buffer: Buffer,
    token: u16,
}

impl Receiver {
    pub(super) fn new(queue: DeviceQueue, plan: &Plan) -> Result<Self, NetError> {
        let count = queue.rings.free().min(usize::from(plan.receive_buffers));
        let pool = BufferPool::new(count, plan.receive_size, "network receive buffers")?;
        let buffer_bytes = u32::try_from(pool.size()).expect("a plan's buffers are smaller than 4 GiB");
        let mut receiver = Self { queue, pool, buffer_bytes, fault: None, dropped: 0 };
        for index in (0..).take(receiver.pool.count()) {
            receiver.post(index).map_err(DeviceError::from)?;
        }
        Ok(receiver)
    }

    /// Returns the next frame that came in. Does not allocate.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let (index, length) = self.next_index()?;
        let buffer = self.buffer(index);
        let Self { queue, pool, .. } = self;
        let (header, frame) = pool.bytes(usize::from(index)).split_first_chunk_mut::<HEADER_BYTES>()?;
        let checksum = Checksum::read(header);
        Some(Frame { bytes: &mut frame[..length], checksum, queue, buffer, token: index })
    }

    /// Returns how many completions were dropped because they were no frames.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.fault.is_some()
    }

    /// Shows the device the buffers that were given back since the last time.
    pub fn flush(&mut self) {
        self.queue.publish();
    }

    pub(super) fn suppress_interrupts(&self) {
        self.queue.rings.suppress_interrupts();
    }

    /// Returns whether there is something to do already: a frame, or a fault to be attended to.
    pub(super) fn enable_interrupts(&mut self) -> bool {
        self.queue.rings.enable_interrupts().unwrap_or_else(|error| {
            self.fault = Some(error);
            true
        })
    }

    /// Finds the next completion that can be a frame, and returns its buffer and the length without the header.
    fn next_index(&mut self) -> Option<(u16, usize)> {
        for _ in 0..PATIENCE {
            if self.is_broken() {
                return None;
            }
            let bad = match self.queue.rings.pop() {
                Ok(None) => return None,
                Ok(Some(Completion { token, written })) => match frame_length(written) {
                    Some(length) => return Some((token, length)),
                    None => token,
                },
                Err(QueueError::LengthTooLong { token }) => token,
                Err(error) => {
                    self.fault = Some(error);
                    return None;
                }
            };
            self.dropped += 1;
            self.fault = self.post(bad).err();
        }
        None
    }

    fn post(&mut self, index: u16) -> Result<(), QueueError> {
        let buffer = self.buffer(index);
        self.queue.rings.add_one(buffer, index)
    }

    fn buffer(&self, index: u16) -> Buffer {
        let bus = self.pool.bus(usize::from(index));
        Buffer { bus, length: self.buffer_bytes, direction: Direction::FromDevice }
    }
}

/// The length was checked against the buffer when the completion was taken.
fn frame_length(written: u32) -> Option<usize> {
    (written as usize).checked_sub(HEADER_BYTES).filter(|length| *length >= LEAST_FRAME)
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

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        let outcome = self.queue.rings.add_one(self.buffer, self.token);
        debug_assert!(outcome.is_ok(), "the descriptor that brought the frame is free");
    }
}

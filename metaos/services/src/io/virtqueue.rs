//! A split virtqueue (virtio 1.2, 2.7) with `VIRTIO_F_EVENT_IDX` (2.7.10), driver side.
//!
//! What the driver must be able to trust (which descriptors are in flight, how long their buffers are, what follows
//! what) is kept in private memory; the rings are written for the device and never read back, except for the three
//! things only the device can say: the used index, a used element, and the index at which it wants a doorbell.
//! Each is read once and checked.
//!
//! Nothing allocates after [`Virtqueue::new`]. Buffers are added one by one and published together, with one doorbell
//! a batch; interrupts stay off while there is work.

mod completion;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod layout;

pub use completion::Completion;
pub use error::QueueError;
pub use layout::{QueueAddresses, QueueLayout};

use super::dma::{DmaMemory, Shared};
use crate::memory::state::{self, StateVec};
use abi::BusAddr;
use core::sync::atomic::{Ordering, fence};

/// Largest queue that this driver sets up.
pub const MAX_SIZE: u16 = 1024;

const DESCRIPTOR_NEXT: u64 = 1;
const DESCRIPTOR_WRITE: u64 = 2;
const AVAILABLE_NO_INTERRUPT: u16 = 1;
const USED_NO_NOTIFY: u16 = 1;

/// Who writes a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The driver has written it; the device reads.
    ToDevice,
    /// The device writes it.
    FromDevice,
}

/// A piece of DMA memory that is handed to the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Where the device sees it.
    pub bus: BusAddr,
    /// Its bytes.
    pub length: u32,
    /// Who writes it.
    pub direction: Direction,
}

/// When the other side wants to hear of new entries, as negotiated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notification {
    /// By a flag (virtio 1.2, 2.7.7 and 2.7.9, without `VIRTIO_F_EVENT_IDX`).
    Flag,
    /// From an index on (`VIRTIO_F_EVENT_IDX`).
    EventIndex,
}

/// One queue.
#[derive(Debug)]
pub struct Virtqueue<M> {
    shared: Shared<M>,
    layout: QueueLayout,
    notification: Notification,
    chains: StateVec<Descriptor>,
    /// First descriptor of the free list, which is linked through `next`.
    free: u16,
    free_count: u16,
    in_flight: u16,
    available: u16,
    /// `available` as the device last saw it.
    published: u16,
    used_seen: u16,
    /// The used index as it was last read, to take a batch at one look.
    used_known: u16,
}

/// What the driver itself remembers of a descriptor.
#[derive(Clone, Copy, Debug)]
struct Descriptor {
    next: u16,
    /// Descriptors of the chain that starts here and is in flight; 0: none does.
    count: u16,
    token: u16,
    /// Bytes that the device may write in that chain.
    writable: u32,
}

impl<M: DmaMemory> Virtqueue<M> {
    /// Lays an empty queue of `size` entries out in zeroed `memory`.
    ///
    /// # Errors
    ///
    /// [`QueueError::BadSize`] if `size` is not a power of two up to [`MAX_SIZE`], or `memory` too small.
    pub fn new(memory: M, size: u16, notification: Notification) -> Result<Self, QueueError> {
        let layout = QueueLayout::new(size).ok_or(QueueError::BadSize)?;
        if memory.length() < layout.total_bytes() {
            return Err(QueueError::BadSize);
        }
        let free = Descriptor { next: 0, count: 0, token: 0, writable: 0 };
        let mut chains = state::vector();
        chains.reserve_exact(usize::from(size));
        chains.extend((1..=size).map(|next| Descriptor { next, ..free }));
        let queue = Self {
            shared: Shared::new(memory),
            layout,
            notification,
            chains,
            free: 0,
            free_count: size,
            in_flight: 0,
            available: 0,
            published: 0,
            used_seen: 0,
            used_known: 0,
        };
        queue.suppress_interrupts();
        Ok(queue)
    }

    /// Returns the number of entries.
    #[must_use]
    pub const fn size(&self) -> u16 {
        self.layout.size()
    }

    /// Returns where the device finds the three parts.
    #[must_use]
    pub fn addresses(&self) -> QueueAddresses {
        self.layout.addresses(self.shared.memory().bus())
    }

    /// Returns how many descriptors are free.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free_count as usize
    }

    /// Returns how many chains the device has.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight as usize
    }

    /// Adds a chain of buffers, those that the device reads first (virtio 1.2, 2.7.4.2). The device sees it after
    /// [`publish`](Self::publish). `token` comes back with the completion. Does not allocate.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`] if there are fewer free descriptors than buffers, [`QueueError::EmptyChain`] for none.
    pub fn add(&mut self, buffers: &[Buffer], token: u16) -> Result<(), QueueError> {
        match buffers {
            [] => return Err(QueueError::EmptyChain),
            [buffer] => return self.add_one(*buffer, token),
            _ => {}
        }
        let count = u16::try_from(buffers.len()).map_err(|_| QueueError::Full)?;
        if count > self.free_count {
            return Err(QueueError::Full);
        }
        let head = self.free;
        let mut writable = 0_u32;
        for (position, buffer) in (1..).zip(buffers) {
            writable = writable.saturating_add(self.write_descriptor(buffer, position == count));
        }
        self.free_count -= count;
        let record = &mut self.chains[usize::from(head)];
        (record.count, record.token, record.writable) = (count, token, writable);
        self.make_available(head);
        Ok(())
    }

    /// Adds a chain of one buffer, as [`add`](Self::add) does: what every frame comes down to.
    ///
    /// # Errors
    ///
    /// [`QueueError::Full`] if no descriptor is free.
    #[inline]
    pub fn add_one(&mut self, buffer: Buffer, token: u16) -> Result<(), QueueError> {
        let head = self.free;
        let Some(record) = self.chains.get_mut(usize::from(head)) else { return Err(QueueError::Full) };
        let (flags, writable) = match buffer.direction {
            Direction::ToDevice => (0, 0),
            Direction::FromDevice => (DESCRIPTOR_WRITE, buffer.length),
        };
        self.free = record.next;
        *record = Descriptor { next: record.next, count: 1, token, writable };
        self.free_count -= 1;
        let place = self.layout.descriptor(head);
        self.shared.store_pair(place, [buffer.bus.0, u64::from(buffer.length) | flags << 32]);
        self.make_available(head);
        Ok(())
    }

    /// Shows the device what was added since the last time, and tells whether its doorbell is to be rung.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        if self.available == self.published {
            return false;
        }
        let old = core::mem::replace(&mut self.published, self.available);
        self.shared.store_index(self.layout.available_index(), self.available);
        // The device's wish is read after our index can be seen; else both sides could miss each other (2.7.13.4.1).
        fence(Ordering::SeqCst);
        match self.notification {
            Notification::Flag => self.shared.load_u16(self.layout.used_flags()) & USED_NO_NOTIFY == 0,
            Notification::EventIndex => {
                let wish = self.shared.load_u16(self.layout.available_event());
                passes(wish, self.available, old)
            }
        }
    }

    /// Takes the next completion, if there is one. Does not allocate.
    ///
    /// # Errors
    ///
    /// What the device did wrong. [`QueueError::LengthTooLong`] has given its chain back, and the queue goes on; after
    /// the others it is to be made anew.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Completion>, QueueError> {
        if self.used_seen == self.used_known && !self.look()? {
            return Ok(None);
        }
        let entry = self.layout.used_entry(self.used_seen);
        let [head, written] = self.shared.load_pair(entry);
        self.used_seen = self.used_seen.wrapping_add(1);
        let (Ok(head), Some(record)) = (u16::try_from(head), self.chains.get_mut(head as usize)) else {
            return Err(QueueError::NotInFlight);
        };
        let Descriptor { count, token, writable, .. } = *record;
        if count == 1 {
            (record.count, record.next) = (0, self.free);
            self.free = head;
            self.free_count += 1;
            self.in_flight -= 1;
        } else if count == 0 {
            return Err(QueueError::NotInFlight);
        } else {
            self.release(head);
        }
        if written > writable {
            return Err(QueueError::LengthTooLong { token });
        }
        Ok(Some(Completion { token, written }))
    }

    /// Tells whether completions wait, without taking one.
    ///
    /// # Errors
    ///
    /// [`QueueError::IndexJump`] if the device's index is impossible.
    pub fn has_completions(&mut self) -> Result<bool, QueueError> {
        if self.used_seen == self.used_known { self.look() } else { Ok(true) }
    }

    /// Asks the device for no interrupts. It may send some all the same.
    pub fn suppress_interrupts(&self) {
        match self.notification {
            Notification::Flag => {
                self.shared.store_u16(self.layout.available_flags(), AVAILABLE_NO_INTERRUPT);
            }
            // An index just behind is reached again after 65 536 more completions.
            Notification::EventIndex => {
                self.shared.store_u16(self.layout.used_event(), self.used_seen.wrapping_sub(1));
            }
        }
    }

    /// Asks the device for an interrupt at the next completion, and tells whether one waits already, for which no
    /// interrupt will come.
    ///
    /// # Errors
    ///
    /// [`QueueError::IndexJump`] if the device's index is impossible.
    pub fn enable_interrupts(&mut self) -> Result<bool, QueueError> {
        match self.notification {
            Notification::Flag => self.shared.store_u16(self.layout.available_flags(), 0),
            Notification::EventIndex => self.shared.store_u16(self.layout.used_event(), self.used_seen),
        }
        // The used index is read after the wish can be seen (2.7.7.2 and 2.7.8: else a completion in between is lost).
        fence(Ordering::SeqCst);
        self.has_completions()
    }

    /// Writes the next entry of the available ring.
    #[inline]
    fn make_available(&mut self, head: u16) {
        self.in_flight += 1;
        self.shared.store_u16(self.layout.available_entry(self.available), head);
        self.available = self.available.wrapping_add(1);
    }

    /// Reads the used index, and tells whether it has moved.
    #[inline]
    fn look(&mut self) -> Result<bool, QueueError> {
        let index = self.shared.load_index(self.layout.used_index());
        if index.wrapping_sub(self.used_seen) > self.in_flight {
            return Err(QueueError::IndexJump);
        }
        self.used_known = index;
        Ok(index != self.used_seen)
    }

    /// Writes the first free descriptor, takes it off the free list, and returns how much the device may write there.
    fn write_descriptor(&mut self, buffer: &Buffer, is_last: bool) -> u32 {
        let index = self.free;
        self.free = self.chains[usize::from(index)].next;
        let (flags, writable) = match buffer.direction {
            Direction::ToDevice => (0, 0),
            Direction::FromDevice => (DESCRIPTOR_WRITE, buffer.length),
        };
        let chained = if is_last { 0 } else { DESCRIPTOR_NEXT | u64::from(self.free) << 16 };
        let place = self.layout.descriptor(index);
        self.shared.store_pair(place, [buffer.bus.0, u64::from(buffer.length) | (flags | chained) << 32]);
        writable
    }

    /// Puts the descriptors of a chain back on the free list.
    fn release(&mut self, head: u16) {
        let count = core::mem::take(&mut self.chains[usize::from(head)].count);
        let mut last = head;
        for _ in 1..count {
            last = self.chains[usize::from(last)].next;
        }
        self.chains[usize::from(last)].next = self.free;
        self.free = head;
        self.free_count += count;
        self.in_flight -= 1;
    }
}

/// Tells whether moving an index from `old` to `new` passes the entry that the other side waits for (2.7.10.1).
const fn passes(wish: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(wish).wrapping_sub(1) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicUsize, Ordering};

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::storage::RingBuffer;

/// The window that a connection starts with, if its buffer may become that large.
const INITIAL_WINDOW: usize = 65_535;

/// How many octets sockets may take together for buffers, beyond what each has anyway.
#[derive(Debug)]
pub struct BufferBudget(AtomicUsize);

impl BufferBudget {
    /// Create a budget of so many octets.
    pub const fn new(octets: usize) -> Self {
        BufferBudget(AtomicUsize::new(octets))
    }

    /// Return how many octets are left.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self, octets: usize) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(octets)
            })
            .is_ok()
    }

    fn give_back(&self, octets: usize) {
        self.0.fetch_add(octets, Ordering::Relaxed);
    }
}

/// How buffers grow and shrink; see [`super::Socket::set_elastic_buffers`].
#[derive(Debug, Clone)]
pub struct ElasticBuffers {
    /// What buffers beyond `floor` are taken from.
    pub budget: Arc<BufferBudget>,
    /// The size of a buffer that is in use at all.
    pub floor: usize,
    /// The largest size of a buffer.
    pub most: usize,
}

/// The elastic buffers of one socket.
#[derive(Debug)]
pub(super) struct Elastic {
    limits: ElasticBuffers,
    /// What was taken from the budget.
    taken: usize,
    /// The size of the receive buffer that is promised to the remote endpoint. It becomes real
    /// when data arrive faster than they are taken.
    promise: usize,
    /// Octets that the program has taken since the promise was last raised.
    drained: usize,
    /// The send buffer could not grow beyond this.
    send_most: usize,
}

impl Elastic {
    pub(super) fn new(limits: ElasticBuffers) -> Self {
        let mut elastic = Elastic {
            taken: 0,
            promise: 0,
            drained: 0,
            send_most: 0,
            limits,
        };
        elastic.reset();
        elastic
    }

    /// Forget the last connection.
    pub(super) fn reset(&mut self) {
        self.promise = INITIAL_WINDOW.min(self.limits.most);
        self.drained = 0;
        self.send_most = self.limits.most;
    }

    pub(super) fn most(&self) -> usize {
        self.limits.most
    }

    pub(super) fn promise(&self) -> usize {
        self.promise
    }

    /// Note that the program has taken `octets` and left `rest`. If it keeps up with what comes,
    /// a larger window lets more come (as "dynamic right-sizing" does, Fisk and Feng, 2001).
    pub(super) fn on_drain(&mut self, octets: usize, rest: usize) {
        self.drained += octets;
        if rest == 0 && self.drained >= self.promise / 2 {
            self.drained = 0;
            self.promise = (2 * self.promise).min(self.limits.most);
        }
    }

    /// Return whether a full send buffer of `capacity` may grow, if `window` octets may be under
    /// way: twice as much keeps the window full.
    pub(super) fn may_grow_send(&self, capacity: usize, window: usize) -> bool {
        let most = window.saturating_mul(2).min(self.send_most);
        capacity < most.max(self.limits.floor)
            && self.extra(self.next_size(capacity, 0)) - self.extra(capacity)
                <= self.limits.budget.left()
    }

    pub(super) fn grow_send(&mut self, buffer: &mut RingBuffer<u8>) {
        if !self.grow(buffer, 0, 0) {
            self.send_most = buffer.capacity();
        }
    }

    /// Make room for at least `needed` octets in all, keep `beyond` octets after the last that
    /// are in the buffer, and return whether that was possible.
    pub(super) fn grow(
        &mut self,
        buffer: &mut RingBuffer<u8>,
        needed: usize,
        beyond: usize,
    ) -> bool {
        let size = self.next_size(buffer.capacity(), needed);
        size > buffer.capacity()
            && (self.replace(buffer, size, beyond)
                || (needed > buffer.capacity() && self.replace(buffer, needed, beyond)))
    }

    /// Give back what an empty buffer has too much.
    pub(super) fn shrink(&mut self, buffer: &mut RingBuffer<u8>) {
        if self.is_oversized(buffer) {
            self.replace(buffer, self.limits.floor, 0);
        }
    }

    /// Give back all that an empty buffer has.
    pub(super) fn release(&mut self, buffer: &mut RingBuffer<u8>) {
        if buffer.is_empty() && buffer.capacity() > 0 {
            self.replace(buffer, 0, 0);
        }
    }

    pub(super) fn is_oversized(&self, buffer: &RingBuffer<u8>) -> bool {
        buffer.is_empty() && buffer.capacity() > self.limits.floor
    }

    fn next_size(&self, capacity: usize, needed: usize) -> usize {
        needed
            .next_power_of_two()
            .max(2 * capacity)
            .max(self.limits.floor)
            .min(self.limits.most)
    }

    fn extra(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.limits.floor)
    }

    fn replace(&mut self, buffer: &mut RingBuffer<u8>, size: usize, beyond: usize) -> bool {
        let (old, new) = (self.extra(buffer.capacity()), self.extra(size));
        let more = new.saturating_sub(old);
        if !self.limits.budget.take(more) {
            return false;
        }
        let mut storage = Vec::new();
        if storage.try_reserve_exact(size).is_err() {
            self.limits.budget.give_back(more);
            return false;
        }
        storage.resize(size, 0);
        let _ = buffer.replace_storage(storage, beyond);
        // What the buffer had at first was never taken.
        let less = old.saturating_sub(new).min(self.taken);
        self.limits.budget.give_back(less);
        self.taken = self.taken + more - less;
        true
    }
}

impl Drop for Elastic {
    fn drop(&mut self) {
        self.limits.budget.give_back(self.taken);
    }
}

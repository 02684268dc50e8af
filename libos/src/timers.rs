//! Who wants to be looked at when: a heap that is tidied lazily.
//!
//! A busy connection moves its deadline with every segment, a thread that waits with a time limit is mostly woken
//! before. Moving or removing an entry would cost a search, so it stays where it is: if it fires too early, or for
//! somebody who is gone, whoever owns the heap looks and forgets it. All entries are looked at only to tidy up, when
//! there are far more of them than there are owners.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

/// The heap; `T` is the time, `K` names whom a timer belongs to.
#[derive(Debug)]
pub(crate) struct Timers<T, K> {
    heap: BinaryHeap<Reverse<Entry<T, K>>>,
}

#[derive(Debug)]
struct Entry<T, K> {
    at: T,
    key: K,
}

impl<T: Copy + Ord, K: Copy> Timers<T, K> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    pub(crate) fn add(&mut self, at: T, key: K) {
        self.heap.push(Reverse(Entry { at, key }));
    }

    /// Takes one entry whose time has come: when that was, and its key.
    pub(crate) fn pop_due(&mut self, now: T) -> Option<(T, K)> {
        if self.heap.peek()?.0.at > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.key))
    }

    /// Returns the earliest time in the heap; it may belong to something that is gone.
    pub(crate) fn next(&self) -> Option<T> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn capacity(&self) -> usize {
        self.heap.capacity()
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Drops the entries that mean nothing any more.
    pub(crate) fn retain(&mut self, mut is_alive: impl FnMut(T, K) -> bool) {
        self.heap.retain(|Reverse(entry)| is_alive(entry.at, entry.key));
    }
}

// By time alone: keys need no order.
impl<T: Ord, K> PartialEq for Entry<T, K> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T: Ord, K> Eq for Entry<T, K> {}

impl<T: Ord, K> PartialOrd for Entry<T, K> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord, K> Ord for Entry<T, K> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_not_early() {
        let mut timers = Timers::new();
        timers.add(20, 'b');
        timers.add(10, 'a');
        timers.add(30, 'c');
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(25), Some((10, 'a')));
        assert_eq!(timers.pop_due(25), Some((20, 'b')));
        assert_eq!(timers.pop_due(25), None);
        timers.retain(|_, key| key != 'c');
        assert_eq!(timers.len(), 0);
    }
}

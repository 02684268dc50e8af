//! Which bytes of the transmit memory belong to frames under way: a ring of stretches.
//!
//! A frame takes as many bytes as it is long, in one stretch. Devices finish frames in the order they got them, as a
//! rule; one that is finished early is remembered, and its bytes come back with those before it. Nothing here is read
//! from memory that the device can write.

use crate::memory::state::{self, StateVec};

/// Frames start at cache lines of their own.
const ALIGNMENT: usize = 64;

/// The stretches of one ring.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: usize,
    /// Where the next frame goes, if there is room.
    head: usize,
    /// Up to where bytes were free from `head` on when that was last looked at.
    end: usize,
    /// One for each frame under way, oldest first from `first` on.
    entries: StateVec<Entry>,
    first: usize,
    count: usize,
    /// How many of them are done, but not the oldest.
    early: usize,
}

/// A frame under way.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    is_done: bool,
}

/// A place for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The first byte.
    pub(super) start: usize,
    /// What [`Ring::finish`] wants to know.
    pub(super) entry: u16,
}

impl Ring {
    /// Makes a ring of `bytes`, whole lines, for up to `entries` frames, a power of two, at most 32 768.
    pub(super) fn new(bytes: usize, entries: usize) -> Self {
        let mut list = state::vector();
        list.resize(entries, Entry { start: 0, is_done: false });
        Self { bytes, head: 0, end: bytes, entries: list, first: 0, count: 0, early: 0 }
    }

    /// Tells whether a frame of up to `length` bytes has a place at the head; if not, [`Self::turn`] may find one.
    pub(super) const fn has_room(&self, length: usize) -> bool {
        self.end - self.head >= length
    }

    /// Moves the head to where a frame of `length` bytes has a place, if there is such, and tells whether there is.
    pub(super) fn turn(&mut self, length: usize) -> bool {
        if self.count == 0 {
            // An empty ring starts anew, so that light traffic stays in the same few cache lines.
            (self.head, self.end) = (0, self.bytes);
            return self.has_room(length);
        }
        let tail = self.entries[self.first].start;
        if self.head <= tail {
            self.end = tail;
        } else if self.bytes - self.head >= length {
            self.end = self.bytes;
        } else if tail >= length {
            (self.head, self.end) = (0, tail);
        }
        self.has_room(length)
    }

    /// Lets no frame in before the next turn.
    pub(super) const fn close(&mut self) {
        self.end = self.head;
    }

    /// Returns how many frames are under way.
    pub(super) const fn in_flight(&self) -> usize {
        self.count
    }

    /// Takes a place for a frame of `length` bytes at the head, which has room for it; `None`: no entry is free.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Option<Place> {
        debug_assert!(self.has_room(length), "the caller has looked");
        if self.count == self.entries.len() {
            return None;
        }
        let start = self.head;
        let index = self.wrapped(self.first + self.count);
        self.entries.get_mut(index)?.start = start;
        self.count += 1;
        // The end is that of a line as well.
        self.head = (start + length).next_multiple_of(ALIGNMENT);
        #[expect(clippy::cast_possible_truncation, reason = "there are fewer entries")]
        Some(Place { start, entry: index as u16 })
    }

    /// Gives a place back. To be called once for each.
    #[inline]
    pub(super) fn finish(&mut self, entry: u16) {
        if usize::from(entry) == self.first && self.early == 0 {
            self.pass_oldest();
        } else {
            self.finish_early(entry);
        }
    }

    #[cold]
    fn finish_early(&mut self, entry: u16) {
        if let Some(entry) = self.entries.get_mut(usize::from(entry)) {
            entry.is_done = true;
            self.early += 1;
        }
        while self.count > 0 && core::mem::take(&mut self.entries[self.first].is_done) {
            self.early -= 1;
            self.pass_oldest();
        }
    }

    fn pass_oldest(&mut self) {
        self.first = self.wrapped(self.first + 1);
        self.count -= 1;
    }

    fn wrapped(&self, index: usize) -> usize {
        index & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock;
    use alloc::collections::VecDeque;

    #[test]
    fn frames_lie_one_after_the_other_and_never_on_each_other() {
        mock::install();
        let mut ring = Ring::new(64 << 10, 128);
        let mut under_way: VecDeque<(Place, usize)> = VecDeque::new();
        let mut number = 1_u64;
        let mut longest = 0;
        for _ in 0..100_000 {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            let length = usize::try_from(number % 16_000).unwrap() + 1;
            let has_room = ring.has_room(length) || ring.turn(length);
            let place = if has_room { ring.take(length) } else { None };
            assert_eq!(place.is_some(), has_room);
            let Some(place) = place else {
                // Not always the oldest.
                let index = usize::try_from(number >> 32).unwrap() % under_way.len().min(3);
                let (place, _) = under_way.remove(index).unwrap();
                ring.finish(place.entry);
                continue;
            };
            assert!(place.start + length <= 64 << 10 && place.start.is_multiple_of(ALIGNMENT));
            for (other, other_length) in &under_way {
                let is_apart =
                    place.start + length <= other.start || other.start + other_length <= place.start;
                assert!(is_apart, "{place:?} of {length} bytes lies on {other:?} of {other_length} bytes");
            }
            under_way.push_back((place, length));
            longest = longest.max(ring.in_flight());
        }
        assert!(longest > 4);
        for (place, _) in under_way {
            ring.finish(place.entry);
        }
        assert_eq!(ring.in_flight(), 0);
        assert!(ring.turn(64 << 10));
    }

    #[test]
    fn no_more_frames_than_entries_are_taken() {
        mock::install();
        let mut ring = Ring::new(64 << 10, 4);
        for _ in 0..4 {
            assert!(ring.take(60).is_some());
        }
        assert!(ring.take(60).is_none());
        ring.finish(1);
        assert!(ring.take(60).is_none(), "the oldest is still under way");
        ring.finish(0);
        assert_eq!(ring.in_flight(), 2);
        assert!(ring.take(60).is_some());
    }
}

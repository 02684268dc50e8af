//! Which frames of physical memory are free: one bit a frame.
//!
//! A bitmap finds contiguous runs for devices and large pages, cannot run out of room, and costs 32 KiB a GiB. It is
//! searched from where the last search ended, so that a run of allocations does not start over each time.

use crate::boot::Range;
use abi::PAGE_SIZE;

const BITS: usize = u64::BITS as usize;

/// The frame table. A set bit means free.
#[derive(Debug)]
pub struct Frames {
    bitmap: &'static mut [u64],
    free: usize,
    next: usize,
}

impl Frames {
    /// Returns the number of 64-bit words that describe memory up to physical address `end`.
    #[must_use]
    pub const fn words_for(end: u64) -> usize {
        (end as usize).div_ceil(PAGE_SIZE).div_ceil(BITS)
    }

    /// Makes a table over `bitmap` in which no frame is free.
    pub fn new(bitmap: &'static mut [u64]) -> Self {
        bitmap.fill(0);
        Self { bitmap, free: 0, next: 0 }
    }

    /// Takes the bitmap along to another address. `bitmap` holds the same bits.
    pub fn move_to(&mut self, bitmap: &'static mut [u64]) {
        self.bitmap = bitmap;
    }

    /// Returns how many frames are free.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free
    }

    /// Marks the whole frames within `range` as free.
    pub fn release_range(&mut self, range: Range) {
        let (first, end) = (range.start.div_ceil(PAGE_SIZE as u64), range.end / PAGE_SIZE as u64);
        for frame in first..end.max(first) {
            self.set_free(frame as usize);
        }
    }

    /// Marks every frame that `range` touches as taken.
    pub fn reserve_range(&mut self, range: Range) {
        let (first, end) = (range.start / PAGE_SIZE as u64, range.end.div_ceil(PAGE_SIZE as u64));
        for frame in first..end.min((self.bitmap.len() * BITS) as u64) {
            self.set_taken(frame as usize);
        }
    }

    /// Takes one frame and returns its physical address.
    pub fn allocate(&mut self) -> Option<u64> {
        self.allocate_run(1, 1)
    }

    /// Takes `count` adjacent frames whose first address is a multiple of `alignment` frames (a power of two).
    pub fn allocate_run(&mut self, count: usize, alignment: usize) -> Option<u64> {
        if count == 0 || count > self.free {
            return None;
        }
        let frames = self.bitmap.len() * BITS;
        let run = match self.find(self.next, frames, count, alignment) {
            Some(run) => run,
            None => self.find(0, frames.min(self.next.saturating_add(count)), count, alignment)?,
        };
        for frame in run..run + count {
            self.set_taken(frame);
        }
        // A large run taken from the middle must not make later searches skip what is free below it.
        if alignment == 1 {
            self.next = run + count;
        }
        Some((run * PAGE_SIZE) as u64)
    }

    /// Gives `count` adjacent frames from physical address `start` back.
    pub fn release(&mut self, start: u64, count: usize) {
        let first = start as usize / PAGE_SIZE;
        for frame in first..first + count {
            self.set_free(frame);
        }
        self.next = self.next.min(first);
    }

    fn find(&self, from: usize, end: usize, count: usize, alignment: usize) -> Option<usize> {
        let mut start = from.next_multiple_of(alignment);
        while start + count <= end {
            match (start..start + count).find(|&frame| !self.is_free(frame)) {
                None => return Some(start),
                Some(taken) => start = self.next_free(taken + 1, end).next_multiple_of(alignment),
            }
        }
        None
    }

    /// Returns the first free frame from `frame` on, skipping whole words; `end` if there is none.
    fn next_free(&self, frame: usize, end: usize) -> usize {
        let mut word = frame / BITS;
        let mut bits = self.bitmap.get(word).map_or(0, |bits| bits & (u64::MAX << (frame % BITS)));
        while bits == 0 {
            word += 1;
            match self.bitmap.get(word) {
                Some(next) => bits = *next,
                None => return end,
            }
        }
        word * BITS + bits.trailing_zeros() as usize
    }

    fn is_free(&self, frame: usize) -> bool {
        self.bitmap.get(frame / BITS).is_some_and(|word| word & (1 << (frame % BITS)) != 0)
    }

    fn set_free(&mut self, frame: usize) {
        if !self.is_free(frame)
            && let Some(word) = self.bitmap.get_mut(frame / BITS)
        {
            *word |= 1 << (frame % BITS);
            self.free += 1;
        }
    }

    fn set_taken(&mut self, frame: usize) {
        if self.is_free(frame) {
            self.bitmap[frame / BITS] &= !(1 << (frame % BITS));
            self.free -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn frames(words: usize, range: Range) -> Frames {
        let mut frames = Frames::new(vec![u64::MAX; words].leak());
        frames.release_range(range);
        frames
    }

    #[test]
    fn frames_come_out_once_and_go_back() {
        let mut frames = frames(4, Range { start: 0x1800, end: 0x5800 });
        assert_eq!(frames.free(), 3);
        assert_eq!(frames.allocate(), Some(0x2000));
        assert_eq!(frames.allocate(), Some(0x3000));
        assert_eq!(frames.allocate(), Some(0x4000));
        assert_eq!(frames.allocate(), None);
        frames.release(0x3000, 1);
        assert_eq!(frames.allocate(), Some(0x3000));
    }

    #[test]
    fn a_run_is_contiguous_and_aligned() {
        let mut frames = frames(32, Range { start: 0x1000, end: 0x80_0000 });
        frames.reserve_range(Range { start: 0x20_0000, end: 0x20_0001 });
        assert_eq!(frames.allocate_run(512, 512), Some(0x40_0000));
        assert_eq!(frames.allocate_run(512, 512), Some(0x60_0000));
        assert_eq!(frames.allocate_run(512, 512), None);
        assert_eq!(frames.allocate(), Some(0x1000));
        assert_eq!(frames.allocate_run(3, 4), Some(0x4000));
    }

    #[test]
    fn a_search_wraps_to_what_was_given_back() {
        let mut frames = frames(2, Range { start: 0, end: 128 * 4096 });
        for frame in 0..128 {
            assert_eq!(frames.allocate(), Some(frame * 4096));
        }
        frames.release(10 * 4096, 5);
        assert_eq!(frames.allocate_run(5, 1), Some(10 * 4096));
        assert_eq!(frames.free(), 0);
    }

    #[test]
    fn what_lies_beyond_the_table_is_never_free() {
        let mut frames = frames(1, Range { start: 0, end: 1 << 30 });
        assert_eq!(frames.free(), 64);
        frames.reserve_range(Range { start: 0, end: u64::MAX });
        assert_eq!(frames.free(), 0);
    }
}

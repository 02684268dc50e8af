//! Which frames of physical memory are free: one bit a frame.
//!
//! A bitmap finds contiguous runs for devices and large pages, cannot run out of room, and costs 32 KiB a GiB. It is
//! searched from where the last search ended, so that a run of allocations does not start over each time.

use abi::PAGE_SIZE;
use core::ops::Range;

const BITS: usize = u64::BITS as usize;
const PAGE: u64 = PAGE_SIZE as u64;

/// The frame table. A set bit means free.
pub(crate) struct Frames {
    bitmap: &'static mut [u64],
    /// How many frames are free.
    pub(crate) free: usize,
    next: usize,
}

impl Frames {
    /// Returns the number of 64-bit words that describe memory up to physical address `end`.
    pub(crate) const fn words_for(end: u64) -> usize {
        (end as usize).div_ceil(PAGE_SIZE).div_ceil(BITS)
    }

    /// Makes a table over `bitmap` in which no frame is free.
    pub(crate) fn new(bitmap: &'static mut [u64]) -> Self {
        bitmap.fill(0);
        Self { bitmap, free: 0, next: 0 }
    }

    /// Marks the whole frames within a range of physical addresses as free.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        let first = range.start.div_ceil(PAGE) as usize;
        for frame in first..self.end().min((range.end / PAGE) as usize) {
            let (word, bit) = (&mut self.bitmap[frame / BITS], 1 << (frame % BITS));
            self.free += usize::from(*word & bit == 0);
            *word |= bit;
        }
        self.next = self.next.min(first);
    }

    /// Marks every frame that a range of physical addresses touches as taken.
    pub(crate) fn reserve(&mut self, range: &Range<u64>) {
        for frame in (range.start / PAGE) as usize..self.end().min(range.end.div_ceil(PAGE) as usize) {
            let (word, bit) = (&mut self.bitmap[frame / BITS], 1 << (frame % BITS));
            self.free -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Takes `count` adjacent frames whose first address is a multiple of `alignment` frames (a power of two).
    pub(crate) fn allocate_run(&mut self, count: usize, alignment: usize) -> Option<u64> {
        if count == 0 || count > self.free {
            return None;
        }
        let run = self.find(self.next..self.end(), count, alignment);
        let run = run.or_else(|| self.find(0..self.end(), count, alignment))?;
        let range = (run * PAGE_SIZE) as u64..((run + count) * PAGE_SIZE) as u64;
        self.reserve(&range);
        // A large run taken from the middle must not make later searches skip what is free below it.
        if alignment == 1 {
            self.next = run + count;
        }
        Some(range.start)
    }

    fn find(&self, frames: Range<usize>, count: usize, alignment: usize) -> Option<usize> {
        let mut start = frames.start.next_multiple_of(alignment);
        while start + count <= frames.end {
            let Some(taken) = (start..start + count).find(|frame| self.is_taken(*frame)) else {
                return Some(start);
            };
            // Goes on behind the taken frames of this word, all at once.
            let rest = self.bitmap[taken / BITS] >> (taken % BITS);
            let skip = (rest.trailing_zeros() as usize).min(BITS - taken % BITS);
            start = (taken + skip).next_multiple_of(alignment);
        }
        None
    }

    fn is_taken(&self, frame: usize) -> bool {
        self.bitmap[frame / BITS] & (1 << (frame % BITS)) == 0
    }

    /// Returns the number of frames that the table describes.
    const fn end(&self) -> usize {
        self.bitmap.len() * BITS
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn frames(words: usize, range: Range<u64>) -> Frames {
        let mut frames = Frames::new(vec![u64::MAX; words].leak());
        frames.release(range);
        frames
    }

    #[test]
    fn frames_come_out_once_and_go_back() {
        let mut frames = frames(4, 0x1800..0x5800);
        assert_eq!(frames.free, 3);
        assert_eq!(frames.allocate_run(1, 1), Some(0x2000));
        assert_eq!(frames.allocate_run(1, 1), Some(0x3000));
        assert_eq!(frames.allocate_run(1, 1), Some(0x4000));
        assert_eq!(frames.allocate_run(1, 1), None);
        frames.release(0x3000..0x4000);
        assert_eq!(frames.allocate_run(1, 1), Some(0x3000));
    }

    #[test]
    fn a_run_is_contiguous_and_aligned() {
        let mut frames = frames(32, 0x1000..0x80_0000);
        frames.reserve(&(0x20_0000..0x20_0001));
        assert_eq!(frames.allocate_run(512, 512), Some(0x40_0000));
        assert_eq!(frames.allocate_run(512, 512), Some(0x60_0000));
        assert_eq!(frames.allocate_run(512, 512), None);
        assert_eq!(frames.allocate_run(1, 1), Some(0x1000));
        assert_eq!(frames.allocate_run(3, 4), Some(0x4000));
    }

    #[test]
    fn a_search_wraps_to_what_was_given_back() {
        let mut frames = frames(2, 0..128 * 4096);
        for frame in 0..128 {
            assert_eq!(frames.allocate_run(1, 1), Some(frame * 4096));
        }
        frames.release(10 * 4096..15 * 4096);
        assert_eq!(frames.allocate_run(5, 1), Some(10 * 4096));
        assert_eq!(frames.free, 0);
    }

    #[test]
    fn what_lies_beyond_the_table_is_never_free() {
        let mut frames = frames(1, 0..1 << 30);
        assert_eq!(frames.free, 64);
        frames.reserve(&(0..u64::MAX));
        assert_eq!(frames.free, 0);
    }
}

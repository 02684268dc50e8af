//! Ranges of physical memory.

use abi::PhysAddr;

/// Most ranges that are kept; firmware gives a dozen or two, UEFI a few dozen.
const MAX_RANGES: usize = 64;

/// A range of physical addresses, `start` below `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Byte after the last.
    pub end: u64,
}

/// A list of ranges.
#[derive(Clone, Debug)]
pub struct MemoryMap {
    ranges: [Range; MAX_RANGES],
    count: usize,
}

impl MemoryMap {
    /// Returns an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: [Range { start: 0, end: 0 }; MAX_RANGES], count: 0 }
    }

    /// Adds a range; empty ones, and those beyond the list's capacity, are left out.
    pub fn add(&mut self, range: Range) {
        if range.start < range.end
            && let Some(slot) = self.ranges.get_mut(self.count)
        {
            *slot = range;
            self.count += 1;
        }
    }

    /// Returns the ranges.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges[..self.count]
    }

    /// Returns the ranges as device discovery takes them; empty ones fill the rest.
    #[must_use]
    pub fn physical_ranges(&self) -> [core::ops::Range<PhysAddr>; MAX_RANGES] {
        core::array::from_fn(|index| PhysAddr(self.ranges[index].start)..PhysAddr(self.ranges[index].end))
    }

    /// Tells whether there is no range.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the end of the highest range that starts below `limit`, cut at `limit`.
    #[must_use]
    pub fn end_below(&self, limit: u64) -> u64 {
        let below = self.ranges().iter().filter(|range| range.start < limit);
        below.map(|range| range.end.min(limit)).max().unwrap_or(0)
    }
}

impl Default for MemoryMap {
    fn default() -> Self {
        Self::new()
    }
}

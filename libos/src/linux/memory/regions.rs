//! The table of a program's memory: regions by address, none over another, neighbours alike joined.

use abi::{Access, PAGE_SIZE};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Pages with the same rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Region {
    pub(super) end: u64,
    pub(super) access: Access,
    pub(super) backing: Backing,
}

/// What is behind them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backing {
    /// Memory of the image, which cannot be given back.
    Image,
    /// Memory that was mapped.
    Memory,
    /// Nothing yet.
    Nothing,
}

/// The table.
pub(super) struct Regions(BTreeMap<u64, Region>);

impl Regions {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Tells whether regions that are fit lie from `start` to `end` without a gap.
    pub(super) fn cover(&self, start: u64, end: u64, is_fit: impl Fn(&Region) -> bool) -> bool {
        let mut address = start;
        while address < end {
            match self.at(address) {
                Some((_, region)) if is_fit(&region) => address = region.end,
                _ => return false,
            }
        }
        true
    }

    /// Returns the rights on all of a range, if they are the same.
    pub(super) fn rights(&self, start: u64, end: u64) -> Option<Access> {
        let (_, first) = self.at(start)?;
        self.cover(start, end, |region| region.access == first.access).then_some(first.access)
    }

    /// Tells whether a region lies in a range.
    pub(super) fn touch(&self, start: u64, end: u64) -> bool {
        self.at(start).is_some() || self.0.range(start..end).next().is_some()
    }

    /// Finds room for `length` bytes and a guard on either side.
    pub(super) fn find_gap(&self, from: u64, to: u64, length: u64) -> Option<u64> {
        const GUARD: u64 = PAGE_SIZE as u64;

        let mut start = from.checked_add(GUARD)?;
        for (&next, region) in self.0.range(from..to) {
            if start.checked_add(length)?.checked_add(GUARD)? <= next {
                return Some(start);
            }
            start = region.end + GUARD;
        }
        (start.checked_add(length)?.checked_add(GUARD)? <= to).then_some(start)
    }

    /// Adds a region where there is none, joined with its neighbours if they are alike.
    pub(super) fn insert(&mut self, start: u64, region: Region) {
        let is_alike = |other: &Region| other.access == region.access && other.backing == region.backing;
        let mut whole = (start, region);
        if let Some((&before, other)) = self.0.range(..start).next_back()
            && other.end == start
            && is_alike(other)
        {
            whole.0 = before;
        }
        if let Some(other) = self.0.get(&region.end).filter(|other| is_alike(other)) {
            whole.1.end = other.end;
            self.0.remove(&region.end);
        }
        self.0.insert(whole.0, whole.1);
    }

    /// Takes out what lies in a range; regions that reach over an end of it are split.
    pub(super) fn take(&mut self, start: u64, end: u64) -> Vec<(u64, Region)> {
        self.split(start);
        self.split(end);
        let starts: Vec<u64> = self.0.range(start..end).map(|(start, _)| *start).collect();
        starts.into_iter().filter_map(|start| Some((start, self.0.remove(&start)?))).collect()
    }

    fn at(&self, address: u64) -> Option<(u64, Region)> {
        let (start, region) = self.0.range(..=address).next_back()?;
        (address < region.end).then_some((*start, *region))
    }

    fn split(&mut self, address: u64) {
        if let Some((start, region)) = self.at(address).filter(|(start, _)| *start != address) {
            self.0.insert(start, Region { end: address, ..region });
            self.0.insert(address, region);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: Region = Region { end: 0, access: Access::READ_WRITE, backing: Backing::Memory };

    fn table(ranges: &[(u64, u64)]) -> Regions {
        let mut regions = Regions::new();
        for &(start, end) in ranges {
            regions.insert(start, Region { end, ..DATA });
        }
        regions
    }

    #[test]
    fn a_range_is_covered_only_without_gaps() {
        let regions = table(&[(0x1000, 0x2000), (0x2000, 0x4000), (0x5000, 0x6000)]);
        assert!(regions.cover(0x1800, 0x4000, |_| true));
        assert!(!regions.cover(0x1800, 0x4001, |_| true));
        assert!(!regions.cover(0xfff, 0x2000, |_| true));
        assert!(!regions.cover(0x1000, 0x2000, |region| region.access.contains(Access::EXECUTE)));
    }

    #[test]
    fn what_is_taken_out_is_split_and_neighbours_alike_are_joined() {
        let mut regions = table(&[(0x1000, 0x5000)]);
        assert_eq!(regions.take(0x2000, 0x3000), [(0x2000, Region { end: 0x3000, ..DATA })]);
        assert!(!regions.touch(0x2000, 0x3000));
        assert!(regions.touch(0x1000, 0x2000) && regions.touch(0x3000, 0x5000));
        regions.insert(0x2000, Region { end: 0x3000, ..DATA });
        assert_eq!(regions.0.len(), 1);
    }

    #[test]
    fn a_gap_leaves_a_guard_on_either_side() {
        let regions = table(&[(0x2000, 0x3000), (0x8000, 0x9000)]);
        assert_eq!(regions.find_gap(0, 0x10_0000, 0x1000), Some(0x4000));
        assert_eq!(regions.find_gap(0, 0x10_0000, 0x4000), Some(0xa000));
        assert_eq!(regions.find_gap(0, 0xa000, 0x4000), None);
        assert_eq!(regions.find_gap(0, 0x10_0000, u64::MAX), None);
    }
}

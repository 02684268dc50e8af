//! The range allocator: hands out addresses, maps nothing.
//!
//! One sorted table an area is both the list of what is taken and the register of names. Search goes on where the
//! last one ended (next fit), so that a thousand stacks in a row cost a step each. The page below every range is
//! left free: its guard. The table lies in the services' own heap, which takes no ranges, so the two do not wait for
//! each other.

use super::area::Area;
use super::error::Error;
use super::name::Name;
use super::state::{self, StateVec};
use abi::address::page_align_up;
use abi::{PAGE_SIZE, VirtAddr};
use spin::{Mutex, MutexGuard};

/// Bytes of the guard below every range.
pub const GUARD_SIZE: usize = PAGE_SIZE;

const GUARD: u64 = GUARD_SIZE as u64;

/// Owner of whole pages of addresses; gives them back on drop. Nothing is mapped there by owning it.
#[derive(Debug)]
pub struct Range {
    area: Area,
    start: VirtAddr,
    length: usize,
}

/// A range as it stands in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) name: Name,
}

pub(super) struct Table {
    entries: StateVec<Entry>,
    /// Index before which the next search begins.
    cursor: usize,
}

static TABLES: [Mutex<Table>; Area::ALL.len()] =
    [const { Mutex::new(Table { entries: state::vector(), cursor: 0 }) }; Area::ALL.len()];

impl Range {
    /// Takes `length` bytes, rounded up to whole pages, at a multiple of `alignment` bytes.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn reserve(area: Area, length: usize, alignment: usize, name: &str) -> Result<Self, Error> {
        if !alignment.is_power_of_two() || alignment < PAGE_SIZE {
            return Err(Error::BadAlignment);
        }
        let pages = page_align_up(length as u64).filter(|bytes| *bytes > 0).ok_or(Error::BadLength)?;
        if pages > area.end().0 - area.start().0 {
            return Err(Error::BadLength);
        }
        let start = table(area).take(area, pages, alignment as u64, Name::from(name))?;
        let length = usize::try_from(pages).map_err(|_| Error::BadLength)?;
        Ok(Self { area, start: VirtAddr(start), length })
    }

    /// Returns the first address.
    #[must_use]
    pub const fn start(&self) -> VirtAddr {
        self.start
    }

    /// Returns the bytes, a multiple of the page size.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Never hands the addresses out again: what lies there could not be unmapped.
    pub(crate) const fn abandon(&mut self) {
        self.length = 0;
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        if self.length > 0 {
            table(self.area).release(self.start.0);
        }
    }
}

/// Finds the range whose body or guard holds `address`. Neither waits nor allocates: it runs while crashing.
pub(super) fn find(area: Area, address: VirtAddr) -> Option<Entry> {
    TABLES[area as usize].try_lock()?.find(address.0)
}

fn table(area: Area) -> MutexGuard<'static, Table> {
    TABLES[area as usize].lock()
}

impl Table {
    fn take(&mut self, area: Area, bytes: u64, alignment: u64, name: Name) -> Result<u64, Error> {
        let count = self.entries.len();
        let from = self.cursor.min(count);
        let (index, start) = (from..=count)
            .chain(0..from)
            .find_map(|index| Some((index, self.fit(area, index, bytes, alignment)?)))
            .ok_or(Error::NoRoom)?;
        self.entries.insert(index, Entry { start, end: start + bytes, name });
        self.cursor = index + 1;
        Ok(start)
    }

    /// Returns where `bytes` would start in the gap before entry `index`.
    fn fit(&self, area: Area, index: usize, bytes: u64, alignment: u64) -> Option<u64> {
        let low = match index.checked_sub(1) {
            Some(before) => self.entries[before].end,
            None => area.start().0,
        };
        // The guard of the entry above belongs to that entry.
        let high = self.entries.get(index).map_or(area.end().0, |entry| entry.start - GUARD);
        let start = low.checked_add(GUARD)?.checked_next_multiple_of(alignment)?;
        (start.checked_add(bytes)? <= high).then_some(start)
    }

    fn release(&mut self, start: u64) {
        if let Ok(index) = self.entries.binary_search_by_key(&start, |entry| entry.start) {
            self.entries.remove(index);
            self.cursor = index;
        }
    }

    fn find(&self, address: u64) -> Option<Entry> {
        let index = self.entries.partition_point(|entry| entry.end <= address);
        self.entries.get(index).filter(|entry| address >= entry.start - GUARD).copied()
    }
}

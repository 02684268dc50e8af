//! Page tables: four levels, 4 KiB and 2 MiB pages (SDM 3A 4.5).
//!
//! All table frames come from one contiguous pool that is reserved at boot, so the nucleus reaches each of them
//! through a fixed window of its own and needs no map of all memory; no other frame is ever a page table.

use super::entry::{Entry, LARGE, PRESENT, USER};
use abi::{Error, PAGE_SIZE};
use core::ptr;

const ENTRIES: usize = 512;
/// Level of a page-table entry for a 4 KiB page; each level up covers 512 times as much.
pub(super) const LEVEL_PAGE: u32 = 0;
/// Level of an entry for a 2 MiB page.
pub(super) const LEVEL_LARGE: u32 = 1;
const LEVEL_ROOT: u32 = 3;

/// The pool of table frames and the one root.
#[derive(Debug)]
pub struct Tables {
    /// Physical address of the pool.
    pool: u64,
    /// Where the nucleus sees the pool now.
    view: u64,
    frames: usize,
    used: usize,
    /// Heads a list of tables that were given back, linked by their first entry; 0: none.
    free: u64,
    free_count: usize,
    root: u64,
}

impl Tables {
    /// Makes an empty address space from `frames` contiguous frames at physical address `pool`, which the nucleus
    /// sees at `view` for now.
    ///
    /// # Safety
    ///
    /// The frames are ours alone, and mapped writable at `view` as long as [`Self::move_to`] does not say otherwise.
    #[must_use]
    pub unsafe fn new(pool: u64, frames: usize, view: u64) -> Self {
        let mut tables = Self { pool, view, frames, used: 0, free: 0, free_count: 0, root: 0 };
        tables.root = tables.allocate().unwrap_or(0);
        tables
    }

    /// Says that the pool is now seen at `view`.
    ///
    /// # Safety
    ///
    /// The pool is mapped writable there, for good.
    pub unsafe fn move_to(&mut self, view: u64) {
        self.view = view;
    }

    /// Returns the physical address of the root table.
    #[must_use]
    pub const fn root(&self) -> u64 {
        self.root
    }

    /// Returns physical start and number of frames of the pool.
    #[must_use]
    pub const fn pool(&self) -> (u64, usize) {
        (self.pool, self.frames)
    }

    /// Returns how many table frames are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.frames - self.used + self.free_count
    }

    /// Returns the entry that decides about `address`, and its level; an empty one where a table is missing.
    #[must_use]
    pub fn walk(&self, address: u64) -> (Entry, u32) {
        let mut table = self.root;
        let mut level = LEVEL_ROOT;
        loop {
            let entry = self.read(table, index(address, level));
            if level == LEVEL_PAGE || entry.has(LARGE) || !entry.has(PRESENT) {
                return (entry, level);
            }
            table = entry.frame();
            level -= 1;
        }
    }

    /// Writes the entry of `address` at `level`, making the tables above it as needed.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTables`]; [`Error::AlreadyMapped`] if a large page stands where a table would have to.
    pub fn set(&mut self, address: u64, level: u32, entry: Entry) -> Result<(), Error> {
        let mut table = self.root;
        for upper in (level + 1..=LEVEL_ROOT).rev() {
            let position = index(address, upper);
            let mut next = self.read(table, position);
            if next == Entry::EMPTY {
                let user = if address >> 63 == 0 { USER } else { 0 };
                next = Entry::table(self.allocate().ok_or(Error::OutOfTables)?, user);
                self.write(table, position, next);
            } else if next.has(LARGE) || !next.has(PRESENT) {
                return Err(Error::AlreadyMapped);
            }
            table = next.frame();
        }
        let position = index(address, level);
        let old = self.read(table, position);
        if level == LEVEL_LARGE && old != Entry::EMPTY && !old.has(LARGE) {
            // A table that stands where a large page shall be goes back once it is empty.
            if !self.is_table_empty(old) {
                return Err(Error::AlreadyMapped);
            }
            self.release(old.frame());
        }
        self.write(table, position, entry);
        Ok(())
    }

    /// Replaces the large page at `address` by a table that maps the same memory.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTables`]; nothing is changed then.
    pub fn split(&mut self, address: u64) -> Result<(), Error> {
        let (large, level) = self.walk(address);
        if level != LEVEL_LARGE || !large.has(LARGE) {
            return Ok(());
        }
        let table = self.allocate().ok_or(Error::OutOfTables)?;
        for part in 0..ENTRIES {
            self.write(table, part, large.part(part as u64));
        }
        let directory = self.table_above_page(address);
        let user = if address >> 63 == 0 { USER } else { 0 };
        self.write(directory, index(address, LEVEL_LARGE), Entry::table(table, user));
        Ok(())
    }

    /// Returns the page directory that holds the entry for the 2 MiB at `address`, which [`Self::walk`] has found.
    fn table_above_page(&self, address: u64) -> u64 {
        let pdpt = self.read(self.root, index(address, 3)).frame();
        self.read(pdpt, index(address, 2)).frame()
    }

    fn is_table_empty(&self, entry: Entry) -> bool {
        entry.has(PRESENT) && (0..ENTRIES).all(|position| self.read(entry.frame(), position) == Entry::EMPTY)
    }

    fn allocate(&mut self) -> Option<u64> {
        let table = if self.free != 0 {
            let table = self.free;
            self.free = self.read(table, 0).0;
            self.free_count -= 1;
            table
        } else if self.used < self.frames {
            self.used += 1;
            self.pool + ((self.used - 1) * PAGE_SIZE) as u64
        } else {
            return None;
        };
        for position in 0..ENTRIES {
            self.write(table, position, Entry::EMPTY);
        }
        Some(table)
    }

    fn release(&mut self, table: u64) {
        self.write(table, 0, Entry(self.free));
        self.free = table;
        self.free_count += 1;
    }

    fn read(&self, table: u64, position: usize) -> Entry {
        // SAFETY: `slot` points into the pool, mapped by the promise of `new` and `move_to`. Volatile, because the
        // CPU sets accessed and dirty bits behind the compiler's back.
        Entry(unsafe { ptr::read_volatile(self.slot(table, position)) })
    }

    fn write(&mut self, table: u64, position: usize, entry: Entry) {
        // SAFETY: as for `read`; tables belong to this structure alone, which is borrowed mutably. Whether the new
        // entry keeps the promises of the address space is what the callers in this folder answer for.
        unsafe { ptr::write_volatile(self.slot(table, position), entry.0) }
    }

    fn slot(&self, table: u64, position: usize) -> *mut u64 {
        let offset = table - self.pool;
        assert!(offset < (self.frames * PAGE_SIZE) as u64 && position < ENTRIES, "a table outside the pool");
        ptr::with_exposed_provenance_mut((self.view + offset) as usize + position * size_of::<u64>())
    }
}

/// Returns the index of `address` in a table of `level`.
const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize % ENTRIES
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::entry::Kind;
    use super::*;
    use abi::Access;
    use std::alloc::{Layout, alloc_zeroed};

    fn tables(frames: usize) -> Tables {
        let layout = Layout::from_size_align(frames * PAGE_SIZE, PAGE_SIZE).unwrap();
        // SAFETY: the layout is not empty.
        let view = unsafe { alloc_zeroed(layout) }.expose_provenance() as u64;
        // SAFETY: the frames were allocated for this test alone and are leaked; physical addresses are made up.
        unsafe { Tables::new(0x10_0000, frames, view) }
    }

    fn page(frame: u64) -> Entry {
        Entry::user(frame, Access::READ_WRITE, Kind::Anonymous)
    }

    #[test]
    fn a_page_that_was_set_is_found() {
        let mut tables = tables(8);
        tables.set(0x7000_0000_1000, LEVEL_PAGE, page(0x5000)).unwrap();
        assert_eq!(tables.walk(0x7000_0000_1fff), (page(0x5000), LEVEL_PAGE));
        assert_eq!(tables.walk(0x7000_0000_2000), (Entry::EMPTY, LEVEL_PAGE));
        assert_eq!(tables.walk(0x1000), (Entry::EMPTY, LEVEL_ROOT));
    }

    #[test]
    fn a_large_page_splits_into_the_same_memory() {
        let mut tables = tables(8);
        tables.set(0x7000_0020_0000, LEVEL_LARGE, page(0x60_0000).with(LARGE)).unwrap();
        tables.split(0x7000_0020_3000).unwrap();
        assert_eq!(tables.walk(0x7000_0020_3000), (page(0x60_3000), LEVEL_PAGE));
        assert_eq!(tables.walk(0x7000_003f_f000), (page(0x7f_f000), LEVEL_PAGE));
    }

    #[test]
    fn an_empty_table_gives_way_to_a_large_page_and_is_used_again() {
        let mut tables = tables(5);
        tables.set(0x7000_0000_0000, LEVEL_PAGE, page(0x5000)).unwrap();
        let large = page(0x60_0000).with(LARGE);
        assert_eq!(tables.set(0x7000_0000_0000, LEVEL_LARGE, large), Err(Error::AlreadyMapped));
        tables.set(0x7000_0000_0000, LEVEL_PAGE, Entry::EMPTY).unwrap();
        tables.set(0x7000_0000_0000, LEVEL_LARGE, large).unwrap();
        assert_eq!(tables.left(), 2);
    }

    #[test]
    fn the_pool_has_an_end() {
        let mut tables = tables(3);
        assert_eq!(tables.set(0x1000, LEVEL_PAGE, page(0x5000)), Err(Error::OutOfTables));
    }
}

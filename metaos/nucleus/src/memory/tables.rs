//! Page tables: four levels, 4 KiB and 2 MiB pages (SDM 3A 4.5).
//!
//! All table frames come from one contiguous pool that is reserved at boot, so the nucleus reaches each of them
//! at a fixed distance from its physical address and needs no map of all memory; no other frame is ever a page table.

use super::entry::{Entry, LARGE, PRESENT};
use abi::{Error, PAGE_SIZE};
use core::{ops::Range, ptr};

const ENTRIES: usize = 512;
/// Level of a page-table entry for a 4 KiB page; each level up covers 512 times as much.
const LEVEL_PAGE: u32 = 0;
/// Level of an entry for a 2 MiB page.
const LEVEL_LARGE: u32 = 1;
const LEVEL_ROOT: u32 = 3;

/// The pool of table frames and the one root.
pub(crate) struct Tables {
    /// Physical addresses of the pool.
    pool: Range<u64>,
    /// How far above its physical address the nucleus sees a table.
    offset: u64,
    /// First frame of the pool that was never used.
    unused: u64,
    /// Heads a list of tables that were given back, linked by their first entry; 0: none.
    free: u64,
    /// Physical address of the root table.
    pub(super) root: u64,
}

/// Where an entry stands.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    table: u64,
    position: usize,
    level: u32,
}

impl Slot {
    /// Returns how many bytes an entry here decides about.
    pub(super) const fn size(self) -> u64 {
        (PAGE_SIZE as u64) << (9 * self.level)
    }
}

impl Tables {
    /// Makes an empty address space from the frames of `pool` (two at least), which the nucleus sees `offset` further up.
    ///
    /// # Safety
    ///
    /// The frames are ours alone, and mapped writable there for good.
    pub(crate) unsafe fn new(pool: Range<u64>, offset: u64) -> Self {
        let mut tables = Self { unused: pool.start, pool, offset, free: 0, root: 0 };
        tables.root = tables.allocate().expect("a pool has more than one frame");
        tables
    }

    /// Returns the entry that decides about `address`; an empty one where a table is missing.
    pub(crate) fn entry(&self, address: u64) -> Entry {
        self.read(self.find(address))
    }

    /// Finds where the entry stands that decides about `address`.
    pub(super) fn find(&self, address: u64) -> Slot {
        self.walk(address, LEVEL_PAGE)
    }

    /// Goes down to `level`, or to where a large page or nothing stands.
    fn walk(&self, address: u64, level: u32) -> Slot {
        let mut slot = slot(self.root, address, LEVEL_ROOT);
        loop {
            let entry = self.read(slot);
            if slot.level == level || entry.has(LARGE) || !entry.has(PRESENT) {
                return slot;
            }
            slot = self::slot(entry.frame(), address, slot.level - 1);
        }
    }

    /// Writes the entry of `address`, making the tables above it as needed.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTables`], as for [`Self::clear`]; [`Error::AlreadyMapped`] if a large page stands where a table
    /// would have to, or a table where a large page would have to.
    pub(super) fn set(&mut self, address: u64, entry: Entry) -> Result<(), Error> {
        let level = if entry.has(LARGE) { LEVEL_LARGE } else { LEVEL_PAGE };
        let mut slot = self.walk(address, level);
        while slot.level > level {
            if self.read(slot) != Entry::EMPTY {
                return Err(Error::AlreadyMapped);
            }
            let table = self.allocate().ok_or(Error::OutOfTables);
            let table = table.inspect_err(|_| self.clear(address, slot))?;
            self.write(slot, Entry::table(table, address));
            slot = self.walk(address, level);
        }
        let old = self.read(slot);
        if level == LEVEL_LARGE && old.has(PRESENT) && !old.has(LARGE) {
            return Err(Error::AlreadyMapped);
        }
        self.write(slot, entry);
        Ok(())
    }

    /// Empties the entry of `address` in a slot that was found, and gives back the tables above it that are empty then.
    /// The caller flushes a page, by which the CPU forgets these tables, too, before it makes any (SDM 3A 4.10.4.1).
    pub(super) fn clear(&mut self, address: u64, slot: Slot) {
        self.write(slot, Entry::EMPTY);
        // The next entries come first: ranges are emptied upwards.
        let mut others = (1..ENTRIES).map(|distance| (slot.position + distance) % ENTRIES);
        let is_in_use = others.any(|position| self.read(Slot { position, ..slot }) != Entry::EMPTY);
        if slot.level == LEVEL_ROOT || is_in_use {
            return;
        }
        self.clear(address, self.walk(address, slot.level + 1));
        self.write(Slot { position: 0, ..slot }, Entry(self.free));
        self.free = slot.table;
    }

    /// Replaces the large page at `address`, if there is one, by a table that maps the same memory.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfTables`]; nothing is changed then.
    pub(super) fn split(&mut self, address: u64) -> Result<(), Error> {
        let slot = self.find(address);
        let large = self.read(slot);
        if large.has(LARGE) {
            let table = self.allocate().ok_or(Error::OutOfTables)?;
            for part in self.entries(table) {
                self.write(part, large.part(part.position));
            }
            self.write(slot, Entry::table(table, address));
        }
        Ok(())
    }

    /// Reads an entry.
    pub(super) fn read(&self, slot: Slot) -> Entry {
        // SAFETY: `at` points into the pool, mapped by the promise of `new`. Volatile, because the
        // CPU sets accessed and dirty bits behind the compiler's back.
        Entry(unsafe { ptr::read_volatile(self.at(slot)) })
    }

    /// Writes an entry in a slot that was found.
    pub(super) fn write(&mut self, slot: Slot, entry: Entry) {
        // SAFETY: as for `read`; tables belong to this structure alone, which is borrowed mutably. Whether the new
        // entry keeps the promises of the address space is what the callers in this folder answer for.
        unsafe { ptr::write_volatile(self.at(slot), entry.0) }
    }

    fn allocate(&mut self) -> Option<u64> {
        let table = if self.free == 0 { self.unused } else { self.free };
        if self.free != 0 {
            self.free = self.read(Slot { table, position: 0, level: 0 }).0;
        } else if self.pool.contains(&table) {
            self.unused += PAGE_SIZE as u64;
        } else {
            return None;
        }
        self.entries(table).for_each(|slot| self.write(slot, Entry::EMPTY));
        Some(table)
    }

    /// Returns the slots of a page table.
    fn entries(&self, table: u64) -> impl Iterator<Item = Slot> + use<> {
        (0..ENTRIES).map(move |position| Slot { table, position, level: LEVEL_PAGE })
    }

    fn at(&self, slot: Slot) -> *mut u64 {
        assert!(self.pool.contains(&slot.table), "a table outside the pool");
        let table = slot.table.wrapping_add(self.offset);
        ptr::with_exposed_provenance_mut(table as usize + slot.position * size_of::<u64>())
    }
}

/// Returns the slot of `address` in a table of `level`.
const fn slot(table: u64, address: u64, level: u32) -> Slot {
    Slot { table, position: (address >> (12 + 9 * level)) as usize % ENTRIES, level }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::entry::ANONYMOUS;
    use super::*;
    use abi::Access;
    use std::alloc::{Layout, alloc_zeroed};
    use std::vec::Vec;

    const POOL: u64 = 0x10_0000;

    fn tables(frames: usize) -> Tables {
        let layout = Layout::from_size_align(frames * PAGE_SIZE, PAGE_SIZE).unwrap();
        // SAFETY: the layout is not empty.
        let view = unsafe { alloc_zeroed(layout) }.expose_provenance() as u64;
        // SAFETY: the frames were allocated for this test alone and are leaked; physical addresses are made up.
        unsafe { Tables::new(POOL..POOL + (frames * PAGE_SIZE) as u64, view.wrapping_sub(POOL)) }
    }

    fn page(frame: u64) -> Entry {
        Entry::user(frame, Access::READ_WRITE, ANONYMOUS)
    }

    fn large(frame: u64) -> Entry {
        page(frame | LARGE)
    }

    #[test]
    fn a_page_that_was_set_is_found() {
        let mut tables = tables(8);
        tables.set(0x7000_0000_1000, page(0x5000)).unwrap();
        let walk = |address| (tables.entry(address), tables.find(address).level);
        assert_eq!(walk(0x7000_0000_1fff), (page(0x5000), LEVEL_PAGE));
        assert_eq!(walk(0x7000_0000_2000), (Entry::EMPTY, LEVEL_PAGE));
        assert_eq!(walk(0x1000), (Entry::EMPTY, LEVEL_ROOT));
    }

    #[test]
    fn a_large_page_splits_into_the_same_memory() {
        let mut tables = tables(8);
        tables.set(0x7000_0020_0000, large(0x60_0000)).unwrap();
        tables.split(0x7000_0020_3000).unwrap();
        assert_eq!(tables.entry(0x7000_0020_3000), page(0x60_3000));
        assert_eq!(tables.entry(0x7000_003f_f000), page(0x7f_f000));
        assert_eq!(tables.find(0x7000_0020_3000).level, LEVEL_PAGE);
    }

    #[test]
    fn an_empty_table_gives_way_to_a_large_page() {
        let (mut tables, address) = (tables(5), 0x7000_0000_0000);
        let large = large(0x60_0000);
        tables.set(address, page(0x5000)).unwrap();
        assert_eq!(tables.set(address, large), Err(Error::AlreadyMapped));
        tables.clear(address, tables.find(address));
        tables.set(address, large).unwrap();
        assert_eq!(tables.entry(address), large);
    }

    #[test]
    fn all_tables_come_back_with_their_last_page() {
        let mut tables = tables(12);
        let mut count_and_clear = |start: u64| {
            let addresses = (start..).step_by(2 << 20);
            let full = |address: &u64| tables.set(*address, page(0x5000)) == Ok(());
            let pages: Vec<u64> = addresses.take_while(full).collect();
            pages.iter().for_each(|address| tables.clear(*address, tables.find(*address)));
            pages.len()
        };
        // All but the root and two on the way; three where a gibibyte ends in between.
        assert_eq!(count_and_clear(0x7000_0000_0000), 9);
        assert_eq!(count_and_clear(0x1_0000_0000), 9);
        assert_eq!(count_and_clear(0x7000_3fe0_0000), 8);
        assert_eq!(count_and_clear(0x7000_0000_0000), 9);
    }

    #[test]
    fn a_table_stays_while_a_page_is_in_it() {
        let mut tables = tables(4);
        for address in [0x7000_0000_0000, 0x7000_001f_f000] {
            tables.set(address, page(0x5000)).unwrap();
        }
        tables.clear(0x7000_001f_f000, tables.find(0x7000_001f_f000));
        assert_eq!(tables.entry(0x7000_0000_0000), page(0x5000));
        tables.set(0x7000_0000_1000, page(0x6000)).unwrap();
    }

    #[test]
    fn a_page_for_which_tables_run_out_keeps_none() {
        let mut tables = tables(5);
        tables.set(0x7000_0000_0000, page(0x5000)).unwrap();
        assert_eq!(tables.set(0x1_0000, page(0x5000)), Err(Error::OutOfTables));
        tables.set(0x7000_0020_0000, page(0x5000)).unwrap();
    }

    #[test]
    fn the_pool_has_an_end() {
        let mut tables = tables(3);
        assert_eq!(tables.set(0x1000, page(0x5000)), Err(Error::OutOfTables));
    }
}

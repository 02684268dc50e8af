//! What ring 3 asks of its address space: map, protect, unmap ranges.
//!
//! Each call checks its whole range before it changes anything, and undoes what it did should memory run out, so a
//! refused call leaves the address space as it was.

use super::Memory;
use super::entry::{Entry, Kind, LARGE};
use super::tables::{LEVEL_LARGE, LEVEL_PAGE, Slot};
use crate::privileged::flush_page;
use abi::layout::{LOWEST, USER_END};
use abi::{Access, Error, PAGE_SIZE, address::LARGE_PAGE_SIZE};

const PAGE: u64 = PAGE_SIZE as u64;
const LARGE_PAGE: u64 = LARGE_PAGE_SIZE as u64;

/// A checked range of whole pages that ring 3 may map.
#[derive(Clone, Copy)]
pub(crate) struct UserRange {
    start: u64,
    end: u64,
}

impl UserRange {
    /// Checks a range that ring 3 names.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`], [`Error::BadLength`] or [`Error::BadAddress`].
    pub(crate) fn new(start: u64, length: u64) -> Result<Self, Error> {
        if !start.is_multiple_of(PAGE) || !length.is_multiple_of(PAGE) {
            return Err(Error::Misaligned);
        }
        let end = start.checked_add(length).filter(|end| *end != start).ok_or(Error::BadLength)?;
        if start < LOWEST.0 || end > USER_END.0 {
            return Err(Error::BadAddress);
        }
        Ok(Self { start, end })
    }

    const fn length(self) -> u64 {
        self.end - self.start
    }
}

/// Checks access bits that ring 3 names.
///
/// # Errors
///
/// [`Error::WritableAndExecutable`] or [`Error::BadAccess`].
pub(crate) fn check_access(bits: u64) -> Result<Access, Error> {
    let access = u32::try_from(bits).ok().and_then(Access::from_bits).ok_or(Error::BadAccess)?;
    if access.is_writable_and_executable() {
        return Err(Error::WritableAndExecutable);
    }
    if access.is_empty() || access.contains(Access::READ) { Ok(access) } else { Err(Error::BadAccess) }
}

impl Memory {
    /// Maps zeroed memory at `range`.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyMapped`], [`Error::OutOfMemory`], [`Error::OutOfTables`].
    pub(crate) fn map(&mut self, range: UserRange, access: Access, kind: Kind) -> Result<(), Error> {
        self.expect(range, Error::AlreadyMapped, |entry| entry == Entry::EMPTY)?;
        if range.length() / PAGE > self.frames.free as u64 {
            return Err(Error::OutOfMemory);
        }
        let mut address = range.start;
        while address < range.end {
            let entry = Entry::user(0, access, kind);
            address += self.map_next(address, range.end, entry).inspect_err(|_| self.discard(range))?;
        }
        Ok(())
    }

    /// Maps zeroed, contiguous memory at `range` and returns its physical address, a multiple of `alignment` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`] if `alignment` is not a power of two, and those of [`Self::map`].
    pub(crate) fn map_dma(&mut self, range: UserRange, alignment: u64) -> Result<u64, Error> {
        if !alignment.is_power_of_two() {
            return Err(Error::Misaligned);
        }
        self.expect(range, Error::AlreadyMapped, |entry| entry == Entry::EMPTY)?;
        let run = self.take_run(range.length(), alignment).ok_or(Error::OutOfMemory)?;
        let entry = Entry::user(run, Access::READ_WRITE, Kind::Dma);
        self.map_frames(range, entry).inspect_err(|_| self.frames.release(run..run + range.length()))?;
        Ok(run)
    }

    /// Maps adjacent frames from that of `entry` on: device windows and what is shared with ring 3 among them.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyMapped`], [`Error::OutOfTables`]. The frames stay the caller's.
    pub(crate) fn map_frames(&mut self, range: UserRange, entry: Entry) -> Result<(), Error> {
        self.expect(range, Error::AlreadyMapped, |entry| entry == Entry::EMPTY)?;
        for offset in (0..range.length()).step_by(PAGE_SIZE) {
            let outcome = self.set(range.start + offset, LEVEL_PAGE, Entry(entry.0 + offset));
            outcome.inspect_err(|_| self.for_each(range, Self::empty))?;
        }
        Ok(())
    }

    /// Changes the access of anonymous memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`] if any page is not anonymous memory; [`Error::OutOfTables`].
    pub(crate) fn protect(&mut self, range: UserRange, access: Access) -> Result<(), Error> {
        self.expect(range, Error::NotMapped, |entry| entry.is(Kind::Anonymous))?;
        self.split_ends(range)?;
        self.for_each(range, |memory, address, slot| {
            memory.replace(address, slot, memory.tables.read(slot).with_access(access));
        });
        Ok(())
    }

    /// Unmaps anonymous or DMA memory and frees it.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`] if any page is of another kind; [`Error::OutOfTables`].
    pub(crate) fn unmap(&mut self, range: UserRange) -> Result<(), Error> {
        self.expect(range, Error::NotMapped, |entry| entry.is(Kind::Anonymous) || entry.is(Kind::Dma))?;
        self.split_ends(range)?;
        self.discard(range);
        Ok(())
    }

    /// Maps a large page at `address` if it fits in before `end` and there is one, else a small one; `entry` lacks only
    /// the frame. Returns its size.
    fn map_next(&mut self, address: u64, end: u64, entry: Entry) -> Result<u64, Error> {
        let is_large = address.is_multiple_of(LARGE_PAGE) && end - address >= LARGE_PAGE;
        let large = is_large.then(|| self.take_run(LARGE_PAGE, LARGE_PAGE)).flatten();
        let small = || self.take_run(PAGE, PAGE).map(|frame| (PAGE, LEVEL_PAGE, frame));
        let page = large.map(|run| (LARGE_PAGE, LEVEL_LARGE, run | LARGE)).or_else(small);
        let (size, level, flags) = page.ok_or(Error::OutOfMemory)?;
        let entry = entry.with(flags);
        let outcome = self.set(address, level, entry);
        outcome.inspect_err(|_| self.frames.release(entry.frame()..entry.frame() + size)).map(|()| size)
    }

    /// Writes an entry. The CPU forgets what was made on the way to one that could not be.
    fn set(&mut self, address: u64, level: u32, entry: Entry) -> Result<(), Error> {
        self.tables.set(address, level, entry).inspect_err(|_| flush_page(address))
    }

    /// Takes zeroed, contiguous memory.
    fn take_run(&mut self, length: u64, alignment: u64) -> Option<u64> {
        let run = self.frames.allocate_run((length / PAGE) as usize, alignment.div_ceil(PAGE) as usize)?;
        (run..run + length).step_by(PAGE_SIZE).for_each(|frame| self.clear_frame(frame));
        Some(run)
    }

    /// Unmaps whatever is mapped in `range` and frees it. Large pages must lie wholly inside.
    fn discard(&mut self, range: UserRange) {
        self.for_each(range, |memory, address, slot| {
            let frame = memory.tables.read(slot).frame();
            memory.empty(address, slot);
            memory.frames.release(frame..frame + size(slot));
        });
    }

    fn empty(&mut self, address: u64, slot: Slot) {
        self.tables.clear(address, slot);
        flush_page(address);
    }

    fn replace(&mut self, address: u64, slot: Slot, entry: Entry) {
        self.tables.write(slot, entry);
        flush_page(address);
    }

    /// Splits the large pages that lie over an end of `range`.
    fn split_ends(&mut self, range: UserRange) -> Result<(), Error> {
        for edge in [range.start, range.end].into_iter().filter(|edge| !edge.is_multiple_of(LARGE_PAGE)) {
            self.tables.split(edge)?;
            flush_page(edge);
        }
        Ok(())
    }

    fn expect(&self, range: UserRange, error: Error, is_fit: impl Fn(Entry) -> bool) -> Result<(), Error> {
        let mut rest = range;
        while let Some((_, slot)) = self.next_slot(&mut rest) {
            if !is_fit(self.tables.read(slot)) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Calls `act` with address and slot of every entry in `range` that is taken.
    fn for_each(&mut self, range: UserRange, mut act: impl FnMut(&mut Self, u64, Slot)) {
        let mut rest = range;
        while let Some((address, slot)) = self.next_slot(&mut rest) {
            if self.tables.read(slot) != Entry::EMPTY {
                act(self, address, slot);
            }
        }
    }

    /// Takes what one entry decides about from the start of `rest`.
    fn next_slot(&self, rest: &mut UserRange) -> Option<(u64, Slot)> {
        let address = rest.start;
        (address < rest.end).then(|| {
            let slot = self.tables.find(address);
            rest.start = (address & !(size(slot) - 1)) + size(slot);
            (address, slot)
        })
    }
}

/// Returns how many bytes an entry in `slot` decides about.
const fn size(slot: Slot) -> u64 {
    PAGE << (9 * slot.level)
}

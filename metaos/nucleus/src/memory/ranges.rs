//! What ring 3 asks of its address space: map, protect, unmap ranges.
//!
//! Each call checks its whole range before it changes anything, and undoes what it did should memory run out, so a
//! refused call leaves the address space as it was.

use super::Memory;
use super::entry::{Entry, Kind, LARGE};
use super::tables::{LEVEL_LARGE, LEVEL_PAGE};
use crate::privileged;
use abi::address::LARGE_PAGE_SIZE;
use abi::layout::{LOWEST, USER_END};
use abi::{Access, Error, PAGE_SIZE};

const PAGE: u64 = PAGE_SIZE as u64;
const LARGE_PAGE: u64 = LARGE_PAGE_SIZE as u64;
const PAGES_IN_LARGE: usize = LARGE_PAGE_SIZE / PAGE_SIZE;

/// A checked range of whole pages that ring 3 may map.
#[derive(Clone, Copy, Debug)]
pub struct UserRange {
    start: u64,
    end: u64,
}

impl UserRange {
    /// Checks a range that ring 3 names.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`], [`Error::BadLength`] or [`Error::BadAddress`].
    pub fn new(start: u64, length: u64) -> Result<Self, Error> {
        if !start.is_multiple_of(PAGE) || !length.is_multiple_of(PAGE) {
            return Err(Error::Misaligned);
        }
        let end = start.checked_add(length).ok_or(Error::BadLength)?;
        if length == 0 {
            return Err(Error::BadLength);
        }
        if start < LOWEST.0 || end > USER_END.0 {
            return Err(Error::BadAddress);
        }
        Ok(Self { start, end })
    }

    const fn pages(self) -> usize {
        ((self.end - self.start) / PAGE) as usize
    }
}

/// Checks access bits that ring 3 names.
///
/// # Errors
///
/// [`Error::WritableAndExecutable`] or [`Error::BadAccess`].
pub fn check_access(bits: u64) -> Result<Access, Error> {
    let bits = u32::try_from(bits).map_err(|_| Error::BadAccess)?;
    let access = Access::from_bits(bits).ok_or(Error::BadAccess)?;
    if access.is_writable_and_executable() {
        return Err(Error::WritableAndExecutable);
    }
    if !access.is_empty() && !access.contains(Access::READ) {
        return Err(Error::BadAccess);
    }
    Ok(access)
}

impl Memory {
    /// Maps zeroed memory at `range`.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyMapped`], [`Error::OutOfMemory`], [`Error::OutOfTables`].
    pub fn map(&mut self, range: UserRange, access: Access) -> Result<(), Error> {
        self.map_as(range, access, Kind::Anonymous)
    }

    /// As [`Self::map`], for memory that no call of ring 3 may change.
    ///
    /// # Errors
    ///
    /// Those of [`Self::map`].
    pub fn map_fixed(&mut self, range: UserRange, access: Access) -> Result<(), Error> {
        self.map_as(range, access, Kind::Fixed)
    }

    fn map_as(&mut self, range: UserRange, access: Access, kind: Kind) -> Result<(), Error> {
        self.expect_unmapped(range)?;
        if range.pages() > self.frames.free() {
            return Err(Error::OutOfMemory);
        }
        let mut address = range.start;
        while address < range.end {
            match self.map_next(address, range.end, access, kind) {
                Ok(bytes) => address += bytes,
                Err(error) => {
                    self.discard(UserRange { start: range.start, end: address });
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Maps zeroed, contiguous memory at `range` and returns its physical address, a multiple of `alignment` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`] if `alignment` is not a power of two, and those of [`Self::map`].
    pub fn map_dma(&mut self, range: UserRange, alignment: u64) -> Result<u64, Error> {
        if !alignment.is_power_of_two() {
            return Err(Error::Misaligned);
        }
        self.expect_unmapped(range)?;
        let alignment = usize::try_from(alignment.div_ceil(PAGE)).map_err(|_| Error::OutOfMemory)?;
        let run = self.frames.allocate_run(range.pages(), alignment).ok_or(Error::OutOfMemory)?;
        for page in 0..range.pages() as u64 {
            let frame = run + page * PAGE;
            self.clear_frame(frame);
            let entry = Entry::user(frame, Access::READ_WRITE, Kind::Dma);
            if let Err(error) = self.tables.set(range.start + page * PAGE, LEVEL_PAGE, entry) {
                self.frames.release(frame, range.pages() - page as usize);
                self.discard(UserRange { start: range.start, end: range.start + page * PAGE });
                return Err(error);
            }
        }
        Ok(run)
    }

    /// Maps frames that stay where they are: device windows and what the nucleus shares with ring 3.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyMapped`], [`Error::OutOfTables`].
    pub fn map_frames(&mut self, range: UserRange, entry: Entry) -> Result<(), Error> {
        self.expect_unmapped(range)?;
        for offset in (0..range.end - range.start).step_by(PAGE_SIZE) {
            if let Err(error) = self.tables.set(range.start + offset, LEVEL_PAGE, Entry(entry.0 + offset)) {
                let done = UserRange { start: range.start, end: range.start + offset };
                // The frames are not ours to free.
                self.for_each_entry(done, |memory, address, _, level| {
                    memory.replace(address, level, Entry::EMPTY);
                });
                return Err(error);
            }
        }
        Ok(())
    }

    /// Changes the access of anonymous memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`] if any page is not anonymous memory; [`Error::OutOfTables`].
    pub fn protect(&mut self, range: UserRange, access: Access) -> Result<(), Error> {
        self.expect_kinds(range, &[Kind::Anonymous])?;
        self.split_ends(range)?;
        self.for_each_entry(range, |memory, address, entry, level| {
            memory.replace(address, level, entry.with_access(access));
        });
        Ok(())
    }

    /// Unmaps anonymous or DMA memory and frees it.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`] if any page is of another kind; [`Error::OutOfTables`].
    pub fn unmap(&mut self, range: UserRange) -> Result<(), Error> {
        self.expect_kinds(range, &[Kind::Anonymous, Kind::Dma])?;
        self.split_ends(range)?;
        self.discard(range);
        Ok(())
    }

    fn map_next(&mut self, address: u64, end: u64, access: Access, kind: Kind) -> Result<u64, Error> {
        if address.is_multiple_of(LARGE_PAGE)
            && end - address >= LARGE_PAGE
            && let Some(run) = self.frames.allocate_run(PAGES_IN_LARGE, PAGES_IN_LARGE)
        {
            for page in 0..PAGES_IN_LARGE as u64 {
                self.clear_frame(run + page * PAGE);
            }
            let entry = Entry::user(run, access, kind).with(LARGE);
            match self.tables.set(address, LEVEL_LARGE, entry) {
                Ok(()) => return Ok(LARGE_PAGE),
                // A table with other pages in it stands there; small pages fit in.
                Err(_) => self.frames.release(run, PAGES_IN_LARGE),
            }
        }
        let frame = self.frames.allocate().ok_or(Error::OutOfMemory)?;
        self.clear_frame(frame);
        let entry = Entry::user(frame, access, kind);
        self.tables.set(address, LEVEL_PAGE, entry).inspect_err(|_| self.frames.release(frame, 1))?;
        Ok(PAGE)
    }

    /// Unmaps whatever is mapped in `range` and frees it. Large pages must lie wholly inside.
    fn discard(&mut self, range: UserRange) {
        self.for_each_entry(range, |memory, address, entry, level| {
            memory.replace(address, level, Entry::EMPTY);
            memory.frames.release(entry.frame(), if level == LEVEL_LARGE { PAGES_IN_LARGE } else { 1 });
        });
    }

    fn replace(&mut self, address: u64, level: u32, entry: Entry) {
        self.tables.set(address, level, entry).expect("the tables above an entry that was found exist");
        privileged::flush_page(address);
    }

    fn split_ends(&mut self, range: UserRange) -> Result<(), Error> {
        for edge in [range.start, range.end] {
            if edge % LARGE_PAGE != 0 {
                self.tables.split(edge)?;
                privileged::flush_page(edge);
            }
        }
        Ok(())
    }

    fn expect_unmapped(&self, range: UserRange) -> Result<(), Error> {
        let mut address = range.start;
        while address < range.end {
            let (entry, level) = self.tables.walk(address);
            if entry != Entry::EMPTY {
                return Err(Error::AlreadyMapped);
            }
            address = next_boundary(address, level);
        }
        Ok(())
    }

    fn expect_kinds(&self, range: UserRange, kinds: &[Kind]) -> Result<(), Error> {
        let mut address = range.start;
        while address < range.end {
            let (entry, level) = self.tables.walk(address);
            if entry == Entry::EMPTY || !kinds.contains(&entry.kind()) {
                return Err(Error::NotMapped);
            }
            address = next_boundary(address, level);
        }
        Ok(())
    }

    fn for_each_entry(&mut self, range: UserRange, mut act: impl FnMut(&mut Self, u64, Entry, u32)) {
        let mut address = range.start;
        while address < range.end {
            let (entry, level) = self.tables.walk(address);
            if entry != Entry::EMPTY {
                act(self, address, entry, level);
            }
            address = next_boundary(address, level);
        }
    }
}

/// Returns the first address above `address` that another entry of `level` decides about.
const fn next_boundary(address: u64, level: u32) -> u64 {
    let size = PAGE << (9 * level);
    (address & !(size - 1)) + size
}

//! What ring 3 asks of its address space: map, protect, unmap ranges.
//!
//! Each call checks its whole range before it changes anything, and undoes what it did should memory run out, so a
//! refused call leaves the address space as it was.

use super::Memory;
use super::entry::{DMA, Entry, LARGE, PROTECTABLE, REMOVABLE};
use super::tables::Slot;
use crate::privileged::flush_page;
use abi::layout::{LOWEST, USER_END};
use abi::{Access, Error, PAGE_SIZE, address::LARGE_PAGE_SIZE};
use core::iter;

const PAGE: u64 = PAGE_SIZE as u64;
const LARGE_PAGE: u64 = LARGE_PAGE_SIZE as u64;

/// What becomes of a call that changes the address space.
type Outcome = Result<(), Error>;

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
    /// Maps zeroed memory of a kind at `range`.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyMapped`], [`Error::OutOfMemory`], [`Error::OutOfTables`].
    pub(crate) fn map(&mut self, range: UserRange, access: Access, kind: u64) -> Outcome {
        if range.length() / PAGE > self.frames.free as u64 {
            return Err(Error::OutOfMemory);
        }
        let entry = Entry::user(0, access, kind);
        self.fill(range, |memory, address| memory.take_page(address, range.end, entry))
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
        let run = self.take_run(range.length(), alignment).ok_or(Error::OutOfMemory)?;
        let entry = Entry::user(run, Access::READ_WRITE, DMA);
        self.map_frames(range, entry).inspect_err(|_| self.frames.release(run..run + range.length()))?;
        Ok(run)
    }

    /// Maps adjacent frames from that of `entry` on: device windows and what is shared with ring 3 among them.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyMapped`], [`Error::OutOfTables`]. The frames stay the caller's.
    pub(crate) fn map_frames(&mut self, range: UserRange, entry: Entry) -> Outcome {
        self.fill(range, |_, address| Some(Entry(entry.0 + (address - range.start))))
    }

    /// Changes the access of anonymous memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`] if any page is not anonymous memory; [`Error::OutOfTables`].
    pub(crate) fn protect(&mut self, range: UserRange, access: Access) -> Outcome {
        self.expect(range, Error::NotMapped, |entry| entry.has(PROTECTABLE))?;
        self.split_ends(range)?;
        self.for_each(range, |memory, _, slot| {
            memory.tables.write(slot, memory.tables.read(slot).with_access(access));
        });
        Ok(())
    }

    /// Unmaps anonymous or DMA memory and frees it.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`] if any page is of another kind; [`Error::OutOfTables`].
    pub(crate) fn unmap(&mut self, range: UserRange) -> Outcome {
        self.expect(range, Error::NotMapped, |entry| entry.has(REMOVABLE))?;
        self.split_ends(range)?;
        self.discard(range);
        Ok(())
    }

    /// Fills an empty range with the entry that `next` gives for each address; empties it again should tables or, when
    /// it gives none, memory run out.
    fn fill(&mut self, range: UserRange, next: impl Fn(&mut Self, u64) -> Option<Entry>) -> Outcome {
        self.expect(range, Error::AlreadyMapped, |entry| entry == Entry::EMPTY)?;
        let mut address = range.start;
        while address < range.end {
            let entry = next(self, address).ok_or(Error::OutOfMemory);
            let size = entry.and_then(|entry| self.set(address, entry));
            address += size.inspect_err(|_| self.discard(range))?;
        }
        Ok(())
    }

    /// Writes an entry and returns how many bytes it decides about. If it cannot be, its frame goes back, and the CPU
    /// forgets what was made on the way to it.
    fn set(&mut self, address: u64, entry: Entry) -> Result<u64, Error> {
        let outcome = self.tables.set(address, entry).map(|()| entry.size());
        outcome.inspect_err(|_| {
            self.give_back(entry);
            flush_page(address);
        })
    }

    /// Takes zeroed memory for `address`: a large page if it fits in before `end` and there is one, else a small one.
    /// `entry` lacks only the frame.
    fn take_page(&mut self, address: u64, end: u64, entry: Entry) -> Option<Entry> {
        let is_large = address.is_multiple_of(LARGE_PAGE) && end - address >= LARGE_PAGE;
        let large = is_large.then(|| self.take_run(LARGE_PAGE, LARGE_PAGE)).flatten();
        let page = large.map(|run| run | LARGE).or_else(|| self.take_run(PAGE, PAGE))?;
        Some(Entry(entry.0 | page))
    }

    /// Takes zeroed, contiguous memory.
    fn take_run(&mut self, length: u64, alignment: u64) -> Option<u64> {
        let run = self.frames.allocate_run((length / PAGE) as usize, alignment.div_ceil(PAGE) as usize)?;
        (run..run + length).step_by(PAGE_SIZE).for_each(|frame| self.clear_frame(frame));
        Some(run)
    }

    fn give_back(&mut self, entry: Entry) {
        if entry.has(REMOVABLE) {
            self.frames.release(entry.frame()..entry.frame() + entry.size());
        }
    }

    /// Unmaps whatever is mapped in `range` and frees what calls may free. Large pages must lie wholly inside.
    fn discard(&mut self, range: UserRange) {
        self.for_each(range, |memory, address, slot| {
            let entry = memory.tables.read(slot);
            memory.tables.clear(address, slot);
            memory.give_back(entry);
        });
    }

    /// Splits the large pages that lie over an end of `range`.
    fn split_ends(&mut self, range: UserRange) -> Outcome {
        for edge in [range.start, range.end].into_iter().filter(|edge| !edge.is_multiple_of(LARGE_PAGE)) {
            self.tables.split(edge)?;
            flush_page(edge);
        }
        Ok(())
    }

    fn expect(&self, range: UserRange, error: Error, is_fit: impl Fn(Entry) -> bool) -> Outcome {
        let mut rest = range;
        let mut slots = iter::from_fn(|| self.next_slot(&mut rest));
        slots.all(|(_, slot)| is_fit(self.tables.read(slot))).then_some(()).ok_or(error)
    }

    /// Calls `act` with address and slot of every entry in `range` that is taken; the CPU forgets what stood there.
    fn for_each(&mut self, range: UserRange, mut act: impl FnMut(&mut Self, u64, Slot)) {
        let mut rest = range;
        while let Some((address, slot)) = self.next_slot(&mut rest) {
            if self.tables.read(slot) != Entry::EMPTY {
                act(self, address, slot);
                flush_page(address);
            }
        }
    }

    /// Takes what one entry decides about from the start of `rest`.
    fn next_slot(&self, rest: &mut UserRange) -> Option<(u64, Slot)> {
        let address = rest.start;
        (address < rest.end).then(|| {
            let slot = self.tables.find(address);
            rest.start = (address & !(slot.size() - 1)) + slot.size();
            (address, slot)
        })
    }
}

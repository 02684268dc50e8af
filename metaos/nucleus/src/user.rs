//! Ranges that ring 3 names in a call: checked against the page tables, then copied.
//!
//! A checked range stays valid because interrupts are off, the state's lock is held by the borrow of [`Memory`], and one
//! CPU runs the guest.

use crate::memory::Memory;
use crate::memory::entry::{PRESENT, USER, WRITABLE};
use crate::privileged::{begin_user_access, end_user_access};
use abi::layout::USER_END;
use abi::{Error, PAGE_SIZE};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const PAGE: u64 = PAGE_SIZE as u64;

static HAS_SMAP: AtomicBool = AtomicBool::new(false);

/// Says that user pages are out of reach but between `begin_user_access` and `end_user_access`.
pub fn use_smap() {
    HAS_SMAP.store(true, Relaxed);
}

/// A range of ring 3's memory that may be read, or read and written.
#[derive(Debug)]
pub struct UserSlice<'a> {
    start: u64,
    length: usize,
    memory: &'a Memory,
}

impl<'a> UserSlice<'a> {
    /// Checks that ring 3 may read `length` bytes at `start`.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if it may not.
    pub fn readable(memory: &'a Memory, start: u64, length: u64) -> Result<Self, Error> {
        Self::new(memory, start, length, PRESENT | USER)
    }

    /// Checks that ring 3 may write `length` bytes at `start`.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if it may not.
    pub fn writable(memory: &'a Memory, start: u64, length: u64) -> Result<Self, Error> {
        Self::new(memory, start, length, PRESENT | USER | WRITABLE)
    }

    fn new(memory: &'a Memory, start: u64, length: u64, flags: u64) -> Result<Self, Error> {
        let end = start.checked_add(length).ok_or(Error::BadAddress)?;
        if end > USER_END.0 {
            return Err(Error::BadAddress);
        }
        // An empty range touches no page, wherever it starts.
        let mut page = if length == 0 { end } else { start & !(PAGE - 1) };
        while page < end {
            if !memory.tables.walk(page).0.has(flags) {
                return Err(Error::BadAddress);
            }
            page += PAGE;
        }
        Ok(Self { start, length: end.wrapping_sub(start) as usize, memory })
    }

    /// Copies the bytes from `offset` on into `buffer`, and returns how many there were.
    #[must_use]
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let count = self.length.saturating_sub(offset).min(buffer.len());
        let from: *const u8 = ptr::with_exposed_provenance(self.start as usize + offset);
        // SAFETY: `new` found every page of the range readable by ring 3, and the borrow of `memory` keeps the tables
        // as they are; the buffer is the nucleus's own, which no user page overlaps; any bytes are valid.
        with_user_access(|| unsafe { ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), count) });
        count
    }

    /// Copies `bytes` to the start of the range, as many as fit. The range was checked to be writable.
    pub fn write(&mut self, bytes: &[u8]) {
        let count = self.length.min(bytes.len());
        let to: *mut u8 = ptr::with_exposed_provenance_mut(self.start as usize);
        // SAFETY: as for `read_at`; `writable` found every page writable by ring 3.
        with_user_access(|| unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, count) });
    }

    /// Calls `act` with the bytes, in pieces.
    pub fn for_each_piece(&self, mut act: impl FnMut(&[u8])) {
        let mut piece = [0; 256];
        let mut offset = 0;
        while offset < self.length {
            let count = self.read_at(offset, &mut piece);
            act(&piece[..count]);
            offset += count;
        }
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Returns the memory that the range was checked against.
    #[must_use]
    pub const fn memory(&self) -> &'a Memory {
        self.memory
    }
}

fn with_user_access(act: impl FnOnce()) {
    let has_smap = HAS_SMAP.load(Relaxed);
    if has_smap {
        begin_user_access();
    }
    act();
    if has_smap {
        end_user_access();
    }
}

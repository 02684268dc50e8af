//! Ranges that ring 3 names in a call: checked against the page tables, then copied.
//!
//! A checked range stays valid because interrupts are off, the state's lock is held by the borrow of [`Memory`], and one
//! CPU runs the guest.

use crate::memory::entry::{PRESENT, USER, WRITABLE};
use crate::{memory::Memory, privileged::with_user_access};
use abi::{Error, PAGE_SIZE, layout::USER_END};
use core::{marker::PhantomData, ptr};

/// A range of ring 3's memory that may be read, or read and written.
pub(crate) struct UserSlice<'a> {
    /// Where it starts.
    pub(crate) start: u64,
    /// Bytes.
    pub(crate) length: usize,
    /// Keeps the tables as they are.
    memory: PhantomData<&'a Memory>,
}

impl<'a> UserSlice<'a> {
    /// Checks that ring 3 may read `length` bytes at `start`.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if it may not.
    pub(crate) fn readable(memory: &'a Memory, start: u64, length: u64) -> Result<Self, Error> {
        Self::new(memory, start, length, PRESENT | USER)
    }

    /// Checks that ring 3 may write `length` bytes at `start`.
    ///
    /// # Errors
    ///
    /// [`Error::BadAddress`] if it may not.
    pub(crate) fn writable(memory: &'a Memory, start: u64, length: u64) -> Result<Self, Error> {
        Self::new(memory, start, length, PRESENT | USER | WRITABLE)
    }

    fn new(memory: &'a Memory, start: u64, length: u64, flags: u64) -> Result<Self, Error> {
        let end = start.checked_add(length).filter(|end| *end <= USER_END.0).ok_or(Error::BadAddress)?;
        // An empty range touches no page, wherever it starts.
        let first = if length == 0 { end } else { start & !(PAGE_SIZE as u64 - 1) };
        let is_mapped = (first..end).step_by(PAGE_SIZE).all(|page| memory.tables.entry(page).has(flags));
        let slice = Self { start, length: length as usize, memory: PhantomData };
        is_mapped.then_some(slice).ok_or(Error::BadAddress)
    }

    /// Calls `act` with the bytes, in pieces.
    pub(crate) fn for_each_piece(&self, mut act: impl FnMut(&[u8])) {
        let mut piece = [0; 256];
        for offset in (0..self.length).step_by(piece.len()) {
            let count = piece.len().min(self.length - offset);
            let from: *const u8 = ptr::with_exposed_provenance(self.start as usize + offset);
            // SAFETY: `new` found every page of the range readable by ring 3, and the borrow of the memory keeps the
            // tables as they are; the piece is the nucleus's own, which no user page overlaps; any bytes are valid.
            with_user_access(|| unsafe { ptr::copy_nonoverlapping(from, piece.as_mut_ptr(), count) });
            act(&piece[..count]);
        }
    }

    /// Fills the range with `bytes` from its start, as many as there are and fit, and returns how many. The range was
    /// checked to be writable.
    pub(crate) fn fill(&mut self, bytes: impl Iterator<Item = u8>) -> usize {
        let places = self.start as usize..self.start as usize + self.length;
        let write = |(place, byte)| {
            let to: *mut u8 = ptr::with_exposed_provenance_mut(place);
            // SAFETY: as for reading; `writable` found every page writable by ring 3.
            with_user_access(|| unsafe { to.write(byte) });
        };
        places.zip(bytes).map(write).count()
    }
}

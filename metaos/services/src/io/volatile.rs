//! Device registers: every access volatile, of the width the manual names, and inside the block.
//!
//! A device may change a register at any time, so each field is read once into a local, and what was read is what is
//! checked and used.

use crate::machine;
use crate::memory::ranges::Range;
use crate::memory::{Area, Error, pointer};
use abi::PAGE_SIZE;
use core::ptr::NonNull;

/// A block of device registers, or the part of one. Copies name the same registers.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: register accesses are single loads and stores; which CPU makes them is all the same to the device.
unsafe impl Send for Registers {}
// SAFETY: as above.
unsafe impl Sync for Registers {}

macro_rules! access {
    ($read:ident, $write:ident, $type:ty) => {
        #[doc = concat!("Reads the `", stringify!($type), "` at `offset`; all ones outside the block, as an absent device reads.")]
        #[must_use]
        pub fn $read(self, offset: usize) -> $type {
            match self.place::<$type>(offset) {
                // SAFETY: `place` gives an aligned address in the block, which stays mapped for good (`new`).
                Some(place) => <$type>::from_le(unsafe { place.read_volatile() }),
                None => <$type>::MAX,
            }
        }

        #[doc = concat!("Writes the `", stringify!($type), "` at `offset`; nothing outside the block.")]
        pub fn $write(self, offset: usize, value: $type) {
            if let Some(place) = self.place::<$type>(offset) {
                // SAFETY: as for reading; what a register does when written is the device's own affair, and what it
                // may do to memory is bounded by the addresses it was given.
                unsafe { place.write_volatile(value.to_le()) }
            }
        }
    };
}

impl Registers {
    /// Names a block of registers.
    ///
    /// # Safety
    ///
    /// `[start, start + length)` is mapped for reading and writing for as long as any copy is used, belongs to no
    /// Rust object, and `start` is 4-byte aligned.
    #[must_use]
    pub const unsafe fn new(start: NonNull<u8>, length: usize) -> Self {
        Self { start, length }
    }

    /// Maps window `window` of device `device`, `length` bytes long, for good: nothing unmaps a window.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn map(device: usize, window: usize, length: usize) -> Result<Self, Error> {
        let mut range = Range::reserve(Area::DeviceWindows, length, PAGE_SIZE, "a device window")?;
        machine::current().map_window(device, window, range.start())?;
        let start = pointer::at(range.start());
        range.abandon();
        // SAFETY: the window has just been mapped for reading and writing, page-aligned, at addresses that are never
        // handed out again and belong to no Rust object.
        Ok(unsafe { Self::new(start, length) })
    }

    /// Returns the bytes of the block.
    #[must_use]
    pub const fn length(self) -> usize {
        self.length
    }

    /// Returns the part `[offset, offset + length)`, or `None` if that is not in the block or not 4-byte aligned.
    #[must_use]
    pub fn part(self, offset: usize, length: usize) -> Option<Self> {
        let end = offset.checked_add(length)?;
        if end > self.length || !offset.is_multiple_of(4) {
            return None;
        }
        // SAFETY: `offset` is at most `self.length`, inside the block or at its end.
        let start = unsafe { self.start.add(offset) };
        Some(Self { start, length })
    }

    access!(read_u8, write_u8, u8);
    access!(read_u16, write_u16, u16);
    access!(read_u32, write_u32, u32);

    fn place<T>(self, offset: usize) -> Option<NonNull<T>> {
        let end = offset.checked_add(size_of::<T>())?;
        if end > self.length || !offset.is_multiple_of(align_of::<T>()) {
            return None;
        }
        // SAFETY: `offset + size_of::<T>()` is at most `self.length`.
        Some(unsafe { self.start.add(offset) }.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_the_block_reads_as_ones_and_is_not_written() {
        let mut words = [0_u32; 4];
        // SAFETY: the array lives to the end of the test and is looked at only after the last access.
        let block = unsafe { Registers::new(NonNull::from(&mut words).cast(), 12) };
        block.write_u32(8, 7);
        block.write_u32(12, 9);
        block.write_u16(7, 9);
        assert_eq!(block.read_u32(8), 7);
        assert_eq!(block.read_u32(12), u32::MAX);
        assert_eq!(block.read_u32(usize::MAX), u32::MAX);
        assert_eq!(block.read_u16(9), u16::MAX);
        assert!(block.part(4, 9).is_none());
        assert!(block.part(2, 4).is_none());
        assert_eq!(block.part(8, 4).map(|part| part.read_u8(0)), Some(7));
        assert_eq!(words, [0, 0, 7, 0]);
    }
}

//! The temporary window: one page of the upper half through which the nucleus reaches a frame it has not mapped.

use super::Memory;
use super::entry::{Entry, NO_EXECUTE, UNCACHED, WRITABLE};
use super::tables::LEVEL_PAGE;
use crate::devices::bus::Physical;
use crate::layout::WINDOW;
use crate::privileged;
use abi::{PAGE_SIZE, PhysAddr};
use core::ptr;

impl Memory {
    /// Fills a frame with zeros.
    pub fn clear_frame(&mut self, frame: u64) {
        self.show(frame, 0);
        let page: *mut u64 = ptr::with_exposed_provenance_mut(WINDOW as usize);
        // SAFETY: the window shows a whole frame, writable and aligned; it belongs to whoever asked, and nobody
        // else uses the window meanwhile, since it is reached only through this structure.
        unsafe { ptr::write_bytes(page, 0, PAGE_SIZE / size_of::<u64>()) }
    }

    /// Lets the window show `frame`.
    fn show(&mut self, frame: u64, flags: u64) {
        let entry = Entry::supervisor(frame, WRITABLE | NO_EXECUTE | flags);
        if entry == self.shown {
            return;
        }
        self.shown = entry;
        self.tables.set(WINDOW, LEVEL_PAGE, entry).expect("the window's tables were made at boot");
        privileged::flush_page(WINDOW);
    }

    /// Returns where `at` is seen after the window shows its frame, uncached.
    fn reach(&mut self, at: PhysAddr) -> usize {
        self.show(at.page_start().0, UNCACHED);
        WINDOW as usize + (at.0 as usize % PAGE_SIZE)
    }

    fn read<T: Copy>(&mut self, at: PhysAddr, otherwise: T) -> T {
        if at.0 > self.highest_address || !at.is_aligned(size_of::<T>() as u64) {
            return otherwise;
        }
        let from: *const T = ptr::with_exposed_provenance(self.reach(at));
        // SAFETY: the window shows the frame; the address is aligned, so the value lies in one page, and `T` is an
        // integer (the callers are below). Volatile, since devices change it.
        unsafe { ptr::read_volatile(from) }
    }

    fn write<T: Copy>(&mut self, at: PhysAddr, value: T) {
        if at.0 <= self.highest_address && at.is_aligned(size_of::<T>() as u64) {
            let to: *mut T = ptr::with_exposed_provenance_mut(self.reach(at));
            // SAFETY: as for reading; device discovery checks that what it writes to is device space.
            unsafe { ptr::write_volatile(to, value) }
        }
    }
}

impl Physical for Memory {
    fn read_u8(&mut self, at: PhysAddr) -> u8 {
        self.read(at, u8::MAX)
    }

    fn read_u32(&mut self, at: PhysAddr) -> u32 {
        self.read(at, u32::MAX)
    }

    fn write_u8(&mut self, at: PhysAddr, value: u8) {
        self.write(at, value);
    }

    fn write_u32(&mut self, at: PhysAddr, value: u32) {
        self.write(at, value);
    }
}

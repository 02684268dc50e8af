//! The temporary window: one page of the upper half through which the nucleus reaches a frame it has not mapped.
//!
//! It shows memory only while that is being zeroed, so that no frame which ring 3 makes executable later can be written
//! through it.

use super::Memory;
use super::entry::{Entry, NO_EXECUTE, UNCACHED, WRITABLE};
use crate::{devices::hardware::Hardware, layout::WINDOW, privileged};
use abi::{PAGE_SIZE, PhysAddr};
use core::{mem, ptr};

impl Memory {
    /// Fills a frame with zeros.
    pub(crate) fn clear_frame(&mut self, frame: u64) {
        self.show(Entry::supervisor(frame, WRITABLE | NO_EXECUTE));
        let page: *mut u64 = ptr::with_exposed_provenance_mut(WINDOW as usize);
        // SAFETY: the window shows a whole frame, writable and aligned; it belongs to whoever asked, and nobody
        // else uses the window meanwhile, since it is reached only through this structure.
        unsafe { ptr::write_bytes(page, 0, PAGE_SIZE / size_of::<u64>()) }
        self.show(Entry::EMPTY);
    }

    fn show(&mut self, entry: Entry) {
        let before = mem::replace(&mut self.shown, entry);
        if before != entry {
            self.tables.set(WINDOW, entry).expect("the window's tables were made at boot");
        }
        // The CPU remembers no entry that was not present (SDM 3A 4.10.2.3).
        if before != entry && before != Entry::EMPTY {
            privileged::flush_page(WINDOW);
        }
    }

    /// Returns where the integer at `at` is seen, uncached; `None` if the CPU has no such address, or it is misaligned.
    fn reach<T>(&mut self, at: PhysAddr) -> Option<*mut T> {
        if at.0 >= self.physical_end || !at.is_aligned(size_of::<T>() as u64) {
            return None;
        }
        self.show(Entry::supervisor(at.page_start().0, WRITABLE | NO_EXECUTE | UNCACHED));
        Some(ptr::with_exposed_provenance_mut(WINDOW as usize + at.0 as usize % PAGE_SIZE))
    }

    fn write<T>(&mut self, at: PhysAddr, value: T) {
        if let Some(to) = self.reach(at) {
            // SAFETY: as for reading; device discovery checks that what it writes to is device space. `T` is an integer.
            unsafe { ptr::write_volatile(to, value) }
        }
    }
}

impl Hardware for Memory {
    fn read_u32(&mut self, at: PhysAddr) -> u32 {
        // SAFETY: the window shows the frame; the address is aligned, so the integer lies in one page. Volatile, since
        // devices change it.
        self.reach(at).map_or(u32::MAX, |from| unsafe { ptr::read_volatile(from) })
    }

    fn write_u8(&mut self, at: PhysAddr, value: u8) {
        self.write(at, value);
    }

    fn write_u32(&mut self, at: PhysAddr, value: u32) {
        self.write(at, value);
    }
    fn read_port(&mut self, port: u16) -> u32 {
        privileged::port_read(port)
    }

    fn write_port(&mut self, port: u16, value: u32) {
        privileged::port_write(port, value);
    }
}

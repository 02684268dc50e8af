//! DMA memory of a case: plain pages between two that cannot be touched.
//!
//! It ends where the upper guard page starts, so a read or write beyond the end faults at once; the bytes between the
//! lower guard page and its start hold a pattern that is checked. No Rust reference to it ever exists: driver and
//! device both use raw accesses, as with real DMA memory.

use abi::{BusAddr, PAGE_SIZE};
use core::ptr::NonNull;
use services::io::dma::DmaMemory;
use services::io::virtqueue::QueueLayout;
use std::sync::OnceLock;

/// Sizes of queues: 1, 2, 4 ... 1024.
pub(crate) const SHIFTS: usize = 11;
const BUS: BusAddr = BusAddr(0x1234_5000);
const PATTERN: u8 = 0xfe;

/// Memory that driver and device share. Their copies name the same bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// First byte of the page that it starts in.
    pages: usize,
    start: usize,
    length: usize,
    bus: BusAddr,
}

impl Memory {
    /// Names memory that is there already.
    ///
    /// # Safety
    ///
    /// The bytes are mapped for reading and writing for as long as any copy is used, and only raw accesses go there.
    pub(crate) const unsafe fn existing(start: usize, length: usize, bus: BusAddr) -> Self {
        Self { pages: start, start, length, bus }
    }

    /// Returns zeroed memory for a queue of `1 << shift` entries; each size has its own, kept from case to case.
    pub(crate) fn zeroed(shift: usize) -> Self {
        static MAPPED: [OnceLock<Memory>; SHIFTS] = [const { OnceLock::new() }; SHIFTS];
        let memory = *MAPPED[shift].get_or_init(|| {
            let layout = QueueLayout::new(1 << shift).expect("a power of two within the limit");
            Self::map(layout.total_bytes().next_multiple_of(16))
        });
        // SAFETY: the bytes were mapped for good by `map`; no reference to them exists.
        unsafe { core::ptr::write_bytes(memory.start as *mut u8, 0, memory.length) };
        memory
    }

    fn map(length: usize) -> Self {
        let pages = length.next_multiple_of(PAGE_SIZE);
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: asks for new pages at any place.
        let whole = unsafe {
            libc::mmap(core::ptr::null_mut(), pages + 2 * PAGE_SIZE, libc::PROT_NONE, flags, -1, 0)
        };
        assert_ne!(whole, libc::MAP_FAILED, "pages for the case");
        let first = whole as usize + PAGE_SIZE;
        // SAFETY: these are the pages between the first and the last of the new ones.
        let outcome = unsafe { libc::mprotect(first as *mut libc::c_void, pages, protection) };
        assert_eq!(outcome, 0, "pages for the case");
        // SAFETY: they are writable now.
        unsafe { core::ptr::write_bytes(first as *mut u8, PATTERN, pages) };
        Self { pages: first, start: first + pages - length, length, bus: BUS }
    }

    /// Checks that nothing was written before the start.
    pub(crate) fn check(&self) {
        for address in self.pages..self.start {
            // SAFETY: between the lower guard page and the start, mapped for good.
            assert_eq!(unsafe { (address as *const u8).read() }, PATTERN, "written out of bounds");
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.length
    }

    pub(crate) const fn address(&self) -> usize {
        self.start
    }

    /// Tells whether `length` bytes from `start` lie in it.
    pub(crate) fn contains(&self, start: usize, length: usize) -> bool {
        start >= self.start && start.checked_add(length).is_some_and(|end| end <= self.start + self.length)
    }

    pub(crate) fn read<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: `place` checks the bounds; the callers read integers, of which any bits are one.
        unsafe { self.place::<T>(offset).read_unaligned() }
    }

    pub(crate) fn write<T: Copy>(&self, offset: usize, value: T) {
        // SAFETY: as in `read`.
        unsafe { self.place::<T>(offset).write_unaligned(value) };
    }

    fn place<T>(&self, offset: usize) -> *mut T {
        assert!(offset + size_of::<T>() <= self.length, "the device of the case stays in bounds");
        (self.start + offset) as *mut T
    }
}

// SAFETY: the bytes stay mapped for good and are 16-byte aligned, as is their length; nothing but driver and device of
// the case uses them. No real device sees them.
unsafe impl DmaMemory for Memory {
    fn start(&self) -> NonNull<u8> {
        NonNull::new(self.start as *mut u8).expect("mapped memory is not at zero")
    }

    fn length(&self) -> usize {
        self.length
    }

    fn bus(&self) -> BusAddr {
        self.bus
    }
}

//! One entry of a page table (SDM 3A 4.5), and what software keeps in it.

use abi::{Access, PAGE_SIZE, address::LARGE_PAGE_SIZE};

/// Present.
pub(crate) const PRESENT: u64 = 1;
/// Writable.
pub(crate) const WRITABLE: u64 = 1 << 1;
/// Ring 3 may use it.
pub(crate) const USER: u64 = 1 << 2;
/// Uncached, with the default page attribute table (PWT and PCD: entry 3, UC).
pub(crate) const UNCACHED: u64 = 3 << 3;
/// A large page.
pub(crate) const LARGE: u64 = 1 << 7;
/// Instruction fetches are refused.
pub(crate) const NO_EXECUTE: u64 = 1 << 63;

/// Kinds of memory, kept in the bits that the CPU leaves to software. No call changes the image, the stack at the start,
/// the information pages, device windows.
pub(crate) const FIXED: u64 = 0;
/// Memory for devices: it may be unmapped, but keeps its access.
pub(crate) const DMA: u64 = REMOVABLE;
/// Anonymous memory.
pub(crate) const ANONYMOUS: u64 = PROTECTABLE | REMOVABLE;
/// Calls may change its access.
pub(super) const PROTECTABLE: u64 = 1 << 9;
/// Calls may unmap it, by which its frame becomes free.
pub(super) const REMOVABLE: u64 = 1 << 10;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// An entry. One that is not zero is taken, even if it is not present: a guard keeps its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry(pub(crate) u64);

impl Entry {
    /// Nothing.
    pub(crate) const EMPTY: Self = Self(0);

    /// Returns the entry of a page for ring 3. `flags`: of [`ANONYMOUS`], [`DMA`], [`UNCACHED`].
    pub(crate) fn user(frame: u64, access: Access, flags: u64) -> Self {
        Self(frame | flags | rights(access))
    }

    /// Returns the entry of a page for the nucleus alone. `flags`: of [`WRITABLE`], [`NO_EXECUTE`], [`UNCACHED`].
    pub(crate) const fn supervisor(frame: u64, flags: u64) -> Self {
        Self(frame | PRESENT | flags & !USER)
    }

    /// Returns the entry of a further table in the way to `address`; rights are what the last entry says.
    pub(crate) const fn table(frame: u64, address: u64) -> Self {
        let user = if address >> 63 == 0 { USER } else { 0 };
        Self(frame | PRESENT | WRITABLE | user)
    }

    /// Returns the entry with other rights of ring 3.
    pub(crate) fn with_access(self, access: Access) -> Self {
        Self(self.0 & !(PRESENT | WRITABLE | USER | NO_EXECUTE) | rights(access))
    }

    /// Tells whether all of `flags` are set.
    pub(crate) const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// Returns the physical address.
    pub(crate) const fn frame(self) -> u64 {
        self.0 & ADDRESS
    }

    /// Returns the bytes of the page that it maps.
    pub(crate) const fn size(self) -> u64 {
        if self.has(LARGE) { LARGE_PAGE_SIZE as u64 } else { PAGE_SIZE as u64 }
    }

    /// Returns entry `index` of the page table that maps the same memory as this large page.
    pub(crate) const fn part(self, index: usize) -> Self {
        Self((self.0 & !LARGE) + (index * PAGE_SIZE) as u64)
    }
}

/// Returns the flags of a page that ring 3 may use so. Without any right it is not present.
pub(crate) fn rights(access: Access) -> u64 {
    let read = if access.contains(Access::READ) { PRESENT | USER } else { 0 };
    let write = if access.contains(Access::WRITE) { WRITABLE } else { 0 };
    let execute = if access.contains(Access::EXECUTE) { 0 } else { NO_EXECUTE };
    read | write | execute
}

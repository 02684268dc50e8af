//! One entry of a page table (SDM 3A 4.5), and what software keeps in it.

use abi::Access;

/// Present.
pub const PRESENT: u64 = 1;
/// Writable.
pub const WRITABLE: u64 = 1 << 1;
/// Ring 3 may use it.
pub const USER: u64 = 1 << 2;
/// Uncached, with the default page attribute table (PWT and PCD: entry 3, UC).
pub const UNCACHED: u64 = 3 << 3;
/// Set by the CPU at the first use.
pub const ACCESSED: u64 = 1 << 5;
/// Set by the CPU at the first store.
pub const DIRTY: u64 = 1 << 6;
/// A large page.
pub const LARGE: u64 = 1 << 7;
/// Instruction fetches are refused.
pub const NO_EXECUTE: u64 = 1 << 63;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const KIND_SHIFT: u32 = 9;
const KIND: u64 = 3 << KIND_SHIFT;

/// Who mapped a page, kept in the bits that the CPU leaves to software: decides which calls may change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The image, the stack at the start, the information pages, the nucleus: no call changes them.
    Fixed = 0,
    /// Anonymous memory.
    Anonymous = 1,
    /// Memory for devices: it may be unmapped, but keeps its access.
    Dma = 2,
    /// A device's window.
    Window = 3,
}

/// An entry. One that is not zero is taken, even if it is not present: a guard keeps its frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry(pub u64);

impl Entry {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    /// Returns the entry of a page for ring 3.
    #[must_use]
    pub fn user(frame: u64, access: Access, kind: Kind) -> Self {
        Self(frame | (kind as u64) << KIND_SHIFT).with_access(access)
    }

    /// Returns the entry of a page for the nucleus alone. `flags`: of [`WRITABLE`], [`NO_EXECUTE`], [`UNCACHED`].
    #[must_use]
    pub const fn supervisor(frame: u64, flags: u64) -> Self {
        Self(frame | PRESENT | flags)
    }

    /// Returns the entry of a further table.
    #[must_use]
    pub const fn table(frame: u64, user: u64) -> Self {
        Self(frame | PRESENT | WRITABLE | user)
    }

    /// Returns the entry with other rights of ring 3.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        let mut bits = self.0 & !(PRESENT | WRITABLE | USER | NO_EXECUTE);
        if access.contains(Access::READ) {
            bits |= PRESENT | USER;
        }
        if access.contains(Access::WRITE) {
            bits |= WRITABLE;
        }
        if !access.contains(Access::EXECUTE) {
            bits |= NO_EXECUTE;
        }
        Self(bits)
    }

    /// Returns the entry with `flags` added.
    #[must_use]
    pub const fn with(self, flags: u64) -> Self {
        Self(self.0 | flags)
    }

    /// Tells whether all of `flags` are set.
    #[must_use]
    pub const fn has(self, flags: u64) -> bool {
        self.0 & flags == flags
    }

    /// Returns the physical address.
    #[must_use]
    pub const fn frame(self) -> u64 {
        self.0 & ADDRESS
    }

    /// Returns who mapped the page.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match (self.0 & KIND) >> KIND_SHIFT {
            1 => Kind::Anonymous,
            2 => Kind::Dma,
            3 => Kind::Window,
            _ => Kind::Fixed,
        }
    }

    /// Returns entry `index` of the page table that maps the same memory as this large page.
    #[must_use]
    pub const fn part(self, index: u64) -> Self {
        Self((self.0 & !LARGE) + index * abi::PAGE_SIZE as u64)
    }
}

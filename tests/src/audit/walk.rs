//! Walks live page tables: four levels, 4 KiB, 2 MiB and 1 GiB pages (SDM 3A 4.5).
//!
//! Rights are combined over all levels as the CPU does (SDM 3A 4.6): ring 3 may use a page if every level lets it,
//! write it if every level lets it, and execute it unless one level forbids it. The tables are somebody else's
//! memory, so the walk is bounded whatever they hold.

use std::fmt;

use abi::{PAGE_SIZE, PhysAddr, VirtAddr};

use super::ram::PhysicalMemory;

const PAGE: u64 = PAGE_SIZE as u64;
const ENTRIES: u64 = 512;
/// Level of the table that CR3 names; level 1 maps 4 KiB pages.
const ROOT_LEVEL: u32 = 4;
/// Highest level whose entries may map a page themselves.
const LARGEST_PAGE_LEVEL: u32 = 3;
/// Most tables that are walked: they map 16 GiB in small pages.
const MAX_TABLES: usize = 1 << 13;

/// Present.
pub(super) const PRESENT: u64 = 1;
/// Writable, as far as the levels above say so too.
pub(super) const WRITABLE: u64 = 1 << 1;
/// Ring 3 may use it, as far as the levels above say so too.
pub(super) const USER: u64 = 1 << 2;
/// A page at a level that may also have a table.
const LARGE: u64 = 1 << 7;
/// Not executable.
pub(super) const NO_EXECUTE: u64 = 1 << 63;
/// The physical address in an entry.
pub(super) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// What may be done with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Ring 3 may use it; otherwise ring 0 alone.
    pub user: bool,
    /// It may be written.
    pub writable: bool,
    /// It may be executed.
    pub executable: bool,
}

impl Rights {
    const ALL: Self = Self { user: true, writable: true, executable: true };

    const fn limited_by(self, entry: u64) -> Self {
        Self {
            user: self.user && entry & USER != 0,
            writable: self.writable && entry & WRITABLE != 0,
            executable: self.executable && entry & NO_EXECUTE == 0,
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |is_set, letter| if is_set { letter } else { '-' };
        write!(f, "{}r{}{}", letter(self.user, 'u'), letter(self.writable, 'w'), letter(self.executable, 'x'))
    }
}

/// A page that is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Virtual start.
    pub start: VirtAddr,
    /// Physical start.
    pub frame: PhysAddr,
    /// Bytes: 4 KiB, 2 MiB or 1 GiB.
    pub length: u64,
    /// What may be done with it, all levels combined.
    pub rights: Rights,
    /// Whether any level has the user bit, be it without effect.
    pub has_user_bit: bool,
}

impl Mapping {
    /// Tells whether the page holds `address`.
    #[must_use]
    pub const fn contains(&self, address: VirtAddr) -> bool {
        address.0 >= self.start.0 && address.0 - self.start.0 < self.length
    }

    /// Tells whether the page lies in the upper half.
    #[must_use]
    pub const fn is_upper(&self) -> bool {
        self.start.0 >> 63 == 1
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, frame {}, {} KiB)", self.start, self.rights, self.frame, self.length >> 10)
    }
}

/// A frame that serves as a page table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// The frame.
    pub frame: PhysAddr,
    /// First virtual address that it decides about.
    pub start: VirtAddr,
    /// 4 for the root, 1 for one of 4 KiB pages.
    pub level: u32,
}

/// What page tables hold.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// The pages mapped, by ascending address.
    pub mappings: Vec<Mapping>,
    /// The frames that serve as tables.
    pub tables: Vec<Table>,
}

impl Walk {
    /// Returns the page that holds `address`.
    #[must_use]
    pub fn find(&self, address: VirtAddr) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= address);
        self.mappings[..after].last().filter(|mapping| mapping.contains(address))
    }

    /// Copies `length` bytes at virtual address `start`, page by page; `None`: they are not all mapped memory.
    #[must_use]
    pub fn read(&self, memory: &impl PhysicalMemory, start: VirtAddr, length: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let address = start.checked_add(bytes.len() as u64)?;
            let mapping = self.find(address)?;
            let offset = address.0 - mapping.start.0;
            let piece = usize::try_from(mapping.length - offset).ok()?.min(length - bytes.len());
            bytes.extend_from_slice(memory.bytes(mapping.frame.checked_add(offset)?, piece)?);
        }
        Some(bytes)
    }
}

/// Why page tables cannot be walked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WalkError {
    /// A table lies outside memory.
    #[error("the table of level {} for {} lies at {}, outside memory", .0.level, .0.start, .0.frame)]
    OutsideMemory(Table),
    /// There are too many tables.
    #[error(
        "the page tables have more than {MAX_TABLES} tables: they refer to themselves, or the limit is too low"
    )]
    Endless,
}

/// Walks the page tables whose root table is at `root`.
///
/// # Errors
///
/// A table lies outside memory, or there is no end of them.
pub fn walk(root: PhysAddr, memory: &impl PhysicalMemory) -> Result<Walk, WalkError> {
    let mut walker = Walker { memory, walk: Walk::default() };
    walker.descend(Table { frame: root, start: VirtAddr(0), level: ROOT_LEVEL }, Rights::ALL, false)?;
    Ok(walker.walk)
}

struct Walker<'a, M> {
    memory: &'a M,
    walk: Walk,
}

impl<M: PhysicalMemory> Walker<'_, M> {
    fn descend(&mut self, table: Table, rights: Rights, has_user_bit: bool) -> Result<(), WalkError> {
        if self.walk.tables.len() == MAX_TABLES {
            return Err(WalkError::Endless);
        }
        self.walk.tables.push(table);
        for index in 0..ENTRIES {
            let place = PhysAddr(table.frame.0 + index * 8);
            let entry = self.memory.quad_word(place).ok_or(WalkError::OutsideMemory(table))?;
            if entry & PRESENT != 0 {
                let start = canonical(table.start.0 + index * span(table.level));
                self.enter(table.level, start, entry, rights, has_user_bit)?;
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        level: u32,
        start: VirtAddr,
        entry: u64,
        above: Rights,
        above_has_user_bit: bool,
    ) -> Result<(), WalkError> {
        let rights = above.limited_by(entry);
        let has_user_bit = above_has_user_bit || entry & USER != 0;
        let is_page = level == 1 || (level <= LARGEST_PAGE_LEVEL && entry & LARGE != 0);
        if !is_page {
            let table = Table { frame: PhysAddr(entry & ADDRESS), start, level: level - 1 };
            return self.descend(table, rights, has_user_bit);
        }
        // The low address bits of a large page's entry mean something else (SDM 3A, table 4-17).
        let frame = PhysAddr(entry & ADDRESS & !(span(level) - 1));
        self.walk.mappings.push(Mapping { start, frame, length: span(level), rights, has_user_bit });
        Ok(())
    }
}

/// Returns how many bytes an entry of a table of `level` decides about.
const fn span(level: u32) -> u64 {
    PAGE << (9 * (level - 1))
}

/// Extends bit 47 as the CPU asks of an address (SDM 1 3.3.7.1).
const fn canonical(address: u64) -> VirtAddr {
    VirtAddr(if address >> 47 & 1 == 1 { address | 0xffff_0000_0000_0000 } else { address })
}

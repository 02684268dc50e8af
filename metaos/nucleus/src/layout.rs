//! Where the nucleus keeps its own things in the upper half. All of it lies in one page directory (1 GiB).

use abi::PAGE_SIZE;
use abi::layout::{CPU_BLOCK_SIZE, NUCLEUS_END};

/// Stacks and single pages: one page table.
const PAGES: u64 = NUCLEUS_END.0;
/// Supervisor view of the frame table.
pub(crate) const FRAME_TABLE: u64 = 0xffff_ffff_9000_0000;
/// Supervisor view of the page-table frames.
pub(crate) const TABLES: u64 = 0xffff_ffff_a000_0000;
/// Most frames for page tables: what fits between [`TABLES`] and the end of the page directory.
pub(crate) const MAX_TABLE_FRAMES: usize = (0xffff_ffff_c000_0000 - TABLES) as usize / PAGE_SIZE;

/// Memory above this physical address is not used: the frame table covers no more.
pub(crate) const MAX_PHYSICAL: u64 = 64 << 30;

const PAGE: u64 = PAGE_SIZE as u64;

/// The temporary window: one page through which any frame is reached.
pub(crate) const WINDOW: u64 = PAGES;
/// Supervisor view of the information page.
pub(crate) const INFO_PAGE: u64 = PAGES + 2 * PAGE;
/// Supervisor view of the boot information.
pub(crate) const BOOT_INFO: u64 = PAGES + 4 * PAGE;
/// Supervisor view of CPU 0's block.
pub(crate) const CPU_BLOCK: u64 = PAGES + 16 * PAGE;
/// Registers of the local APIC.
pub(crate) const LOCAL_APIC: u64 = CPU_BLOCK + CPU_BLOCK_SIZE as u64 + PAGE;

/// Number of stacks of one CPU.
pub(crate) const STACK_COUNT: u64 = 6;
/// Bytes of each stack.
const STACK_SIZE: u64 = 4 * PAGE;
/// First stack area: each has a guard page below it.
const STACKS: u64 = PAGES + 64 * PAGE;

/// Returns the address just above stack `index` (below [`STACK_COUNT`]).
pub(crate) const fn stack_top(index: u64) -> u64 {
    STACKS + (index + 1) * (STACK_SIZE + PAGE)
}

/// Returns the lowest mapped address of stack `index`.
pub(crate) const fn stack_bottom(index: u64) -> u64 {
    stack_top(index) - STACK_SIZE
}

/// Returns the addresses of all pages of all stacks.
pub(crate) fn stack_pages() -> impl Iterator<Item = u64> {
    (0..STACK_COUNT).flat_map(|index| (stack_bottom(index)..stack_top(index)).step_by(PAGE_SIZE))
}

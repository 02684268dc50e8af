//! Where the nucleus keeps its own things in the upper half.

use abi::PAGE_SIZE;
use abi::layout::{CPU_BLOCK_SIZE, NUCLEUS_END};
use core::ops::Range;

/// Stacks and single pages: one page table.
const PAGES: u64 = NUCLEUS_END.0;
/// View of physical memory: this much above its physical address lies what the nucleus keeps for itself, the frame table
/// and the page tables. The early tables map the low 4 GiB here, the final ones nothing else.
pub(crate) const OWN_MEMORY: u64 = 0xffff_ff00_0000_0000;

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

/// Returns the addresses of each stack.
pub(crate) fn stacks() -> impl Iterator<Item = Range<u64>> {
    (0..STACK_COUNT).map(|index| stack_top(index) - STACK_SIZE..stack_top(index))
}

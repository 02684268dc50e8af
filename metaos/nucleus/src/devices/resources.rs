//! What the machine has to give to devices: physical addresses and events.
//!
//! A base address that pointed into memory would hand that memory to ring 3, or let discovery write over it, so
//! every range that a table, a device or a command line names is checked here first.

use super::Request;
use super::config::Ecam;
use super::interrupts::Interrupts;
use abi::{PAGE_SIZE, PhysAddr};
use core::ops::Range;

/// Low memory and its holes (BIOS, VGA).
const LOW: Range<u64> = 0..0x10_0000;
/// I/O APICs, HPET, TPM, local APICs and the range of MSI (SDM 3A 11.11.1).
const INTERRUPT_CONTROLLERS: Range<u64> = 0xfec0_0000..0xfef0_0000;
/// Device space on q35, pc and microvm alike: neither ECAM (`0xb000_0000`, `0xe000_0000`) nor, beyond its end, memory.
const HOLE: Range<u64> = 0xc000_0000..0xe000_0000;

/// Tells whether two ranges share an address.
pub(super) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Returns the whole pages that hold a range of device space.
pub(super) fn pages(range: &Range<u64>) -> Range<u64> {
    PhysAddr(range.start).page_start().0..range.end.next_multiple_of(PAGE_SIZE as u64)
}

/// Physical addresses that are neither memory nor the machine's own registers, and events that no device has yet.
#[derive(Debug)]
pub(super) struct Resources<'a> {
    pub(super) interrupts: Interrupts,
    ram: &'a [Range<PhysAddr>],
    ecam: Range<u64>,
    end: u64,
    hole: Range<u64>,
}

impl<'a> Resources<'a> {
    pub(super) fn new(request: &Request<'a>, ecam: Option<&Ecam>) -> Self {
        let below = request.ram.iter().filter(|ram| ram.start.0 < HOLE.end);
        Self {
            interrupts: Interrupts::new(request.destination),
            ram: request.ram,
            ecam: ecam.map_or(0..0, Ecam::range),
            end: 1 << request.address_bits.clamp(32, 52),
            hole: below.map(|ram| ram.end.0).fold(HOLE.start, u64::max)..HOLE.end,
        }
    }

    /// Tells whether all of `range` may belong to a device.
    pub(super) fn holds(&self, range: &Range<u64>) -> bool {
        let is_taken =
            [LOW, INTERRUPT_CONTROLLERS, self.ecam.clone()].iter().any(|taken| overlap(range, taken));
        range.start < range.end && range.end <= self.end && !is_taken && !self.is_memory(range)
    }

    /// Tells whether any of `range` is memory.
    pub(super) fn is_memory(&self, range: &Range<u64>) -> bool {
        self.ram.iter().any(|ram| overlap(range, &(ram.start.0..ram.end.0)))
    }

    /// Takes `size` bytes (a power of two) of space where nothing decodes if firmware assigned nothing, aligned to
    /// their size and to a page.
    pub(super) fn take(&mut self, size: u64) -> Option<u32> {
        let size = size.max(PAGE_SIZE as u64);
        let start = self.hole.start.checked_next_multiple_of(size)?;
        let end = start.checked_add(size).filter(|end| *end <= self.hole.end)?;
        self.hole.start = end;
        u32::try_from(start).ok()
    }

    /// Gives up that space, because firmware has assigned addresses by its own plan.
    pub(super) fn close_hole(&mut self) {
        self.hole = 0..0;
    }
}

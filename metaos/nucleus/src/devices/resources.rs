//! What the machine has to give to devices: physical addresses and events.
//!
//! A base address that pointed into memory would hand that memory to ring 3, or let discovery write over it, so
//! every range that a table, a device or a command line names is checked here first. Each event has one vector, at a
//! fixed distance, so that the interrupt handler needs no table.

use super::{Request, config::Ecam};
use abi::info::{EVENTS, FIRST_DEVICE_EVENT};
use abi::{PAGE_SIZE, PhysAddr};
use core::ops::Range;

/// Interrupt vector of event 0; those of the other events follow.
pub const FIRST_EVENT_VECTOR: u8 = 0x40;
/// Most events of one device: three queues and its configuration.
const EVENTS_PER_DEVICE: u32 = 4;
/// Low memory and its holes (BIOS, VGA).
const LOW: Range<u64> = 0..0x10_0000;
/// I/O APICs, HPET, TPM, local APICs and the range of MSI (SDM 3A 11.11.1).
const INTERRUPT_CONTROLLERS: Range<u64> = 0xfec0_0000..0xfef0_0000;
/// Device space on q35, pc and microvm alike: neither ECAM (`0xb000_0000`, `0xe000_0000`) nor, beyond its end, memory.
const HOLE: Range<u64> = 0xc000_0000..0xe000_0000;

/// Returns the interrupt vector of `event`, counted modulo the number of events.
#[must_use]
pub const fn vector(event: u32) -> u8 {
    FIRST_EVENT_VECTOR + (event % EVENTS as u32) as u8
}

/// Tells whether two ranges share an address.
pub(super) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Returns the whole pages that hold a range of device space.
pub(super) fn pages(range: &Range<u64>) -> Range<u64> {
    PhysAddr(range.start).page_start().0..range.end.next_multiple_of(PAGE_SIZE as u64)
}

/// Physical addresses that are neither memory nor the machine's own registers, and events that no device has yet.
pub(super) struct Resources<'a> {
    next_event: u32,
    /// The CPU that takes device interrupts.
    pub(super) destination: u8,
    ram: &'a [Range<u64>],
    ecam: Range<u64>,
    end: u64,
    hole: Range<u64>,
}

impl<'a> Resources<'a> {
    pub(super) fn new(request: &Request<'a>, ecam: Option<&Ecam>) -> Self {
        let below = request.ram.iter().filter(|ram| ram.start < HOLE.end);
        Self {
            next_event: FIRST_DEVICE_EVENT as u32,
            destination: request.destination,
            ram: request.ram,
            ecam: ecam.map_or(0..0, Ecam::range),
            end: 1 << request.address_bits.clamp(32, 52),
            hole: below.map(|ram| ram.end).fold(HOLE.start, u64::max)..HOLE.end,
        }
    }

    /// Tells whether all of `range` may belong to a device.
    pub(super) fn holds(&self, range: &Range<u64>) -> bool {
        let taken = [LOW, INTERRUPT_CONTROLLERS, self.ecam.clone()];
        let is_free = !self.is_memory(range) && !taken.iter().any(|taken| overlap(range, taken));
        range.start < range.end && range.end <= self.end && is_free
    }

    /// Tells whether any of `range` is memory.
    pub(super) fn is_memory(&self, range: &Range<u64>) -> bool {
        self.ram.iter().any(|ram| overlap(range, ram))
    }

    /// Takes `size` bytes (a power of two) of space where nothing decodes if firmware assigned nothing, aligned to
    /// their size and to a page.
    pub(super) fn take(&mut self, size: u64) -> Option<u32> {
        let size = size.max(PAGE_SIZE as u64);
        let start = self.hole.start.checked_next_multiple_of(size)?;
        self.hole.start = start.checked_add(size).filter(|end| *end <= self.hole.end)?;
        u32::try_from(start).ok()
    }

    /// Gives up that space, because firmware has assigned addresses by its own plan.
    pub(super) fn close_hole(&mut self) {
        self.hole = 0..0;
    }

    /// Takes up to `wanted` events, fewer if fewer are left or one device gets no more: the first, and how many.
    pub(super) fn take_events(&mut self, wanted: u32) -> (u32, u32) {
        let count = wanted.min(EVENTS_PER_DEVICE).min(EVENTS as u32 - self.next_event);
        self.next_event += count;
        (self.next_event - count, count)
    }

    /// Returns address and data of the message that raises `event`: fixed, edge-triggered, to one CPU
    /// (SDM 3A 11.11).
    pub(super) fn message(&self, event: u32) -> (u32, u32) {
        (0xfee0_0000 | u32::from(self.destination) << 12, u32::from(vector(event)))
    }
}

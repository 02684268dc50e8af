//! What the machine has to give to devices: physical addresses and events.
//!
//! A base address that pointed into memory would hand that memory to ring 3, or let discovery write over it, so
//! every range that a device or a command line names is checked here first. Each event has one vector, at a fixed
//! distance, so that the interrupt handler needs no table.

use super::config::{MICROVM_ECAM, Platform};
use super::{Request, hardware::Hardware, ioapic::IoApics};
use abi::info::{EVENT_CONSOLE, EVENT_STOP, EVENTS, FIRST_DEVICE_EVENT};
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
/// Device space on q35, pc and microvm alike: neither configuration space nor, beyond its end, memory.
const HOLE: Range<u64> = 0xc000_0000..0xe000_0000;

/// Tells whether two ranges share an address.
pub(super) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Lines of the serial ports, and their events.
const SERIAL_LINES: [(u32, usize); 2] = [(4, EVENT_CONSOLE), (3, EVENT_STOP)];

/// Returns the whole pages that hold a range of device space.
pub(super) fn pages(range: &Range<u64>) -> Range<u64> {
    PhysAddr(range.start).page_start().0..range.end.next_multiple_of(PAGE_SIZE as u64)
}

/// Physical addresses that are neither memory nor the machine's own registers, and events that no device has yet.
pub(super) struct Resources<'a> {
    request: &'a Request<'a>,
    pub(super) platform: Platform,
    pub(super) io_apics: IoApics,
    next_event: u32,
    hole: Range<u64>,
}

impl<'a> Resources<'a> {
    pub(super) fn new(hardware: &mut dyn Hardware, request: &'a Request<'a>) -> Self {
        let platform = Platform::detect(hardware);
        let io_apics = IoApics::new(hardware, platform, request.destination);
        for (irq, event) in SERIAL_LINES {
            io_apics.route(hardware, irq, event as u32);
        }
        let below = request.ram.iter().filter(|ram| ram.start < HOLE.end);
        let start = below.map(|ram| ram.end).fold(HOLE.start, u64::max);
        Self { request, platform, io_apics, next_event: FIRST_DEVICE_EVENT as u32, hole: start..HOLE.end }
    }

    /// Tells whether all of `range` may belong to a device.
    pub(super) fn holds(&self, range: &Range<u64>) -> bool {
        let is_configuration = self.platform == Platform::Microvm && overlap(range, &MICROVM_ECAM);
        let is_taken =
            is_configuration || [LOW, INTERRUPT_CONTROLLERS].iter().any(|taken| overlap(range, taken));
        range.start < range.end
            && range.end <= self.request.physical_end
            && !is_taken
            && !self.is_memory(range)
    }

    /// Tells whether any of `range` is memory.
    pub(super) fn is_memory(&self, range: &Range<u64>) -> bool {
        self.request.ram.iter().any(|ram| overlap(range, ram))
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

    /// Takes the event that the interrupt line `gsi` raises from now on, if there is such a line and an event left.
    pub(super) fn take_line(&mut self, hardware: &mut dyn Hardware, gsi: u32) -> Option<u32> {
        let (event, count) = self.take_events(1);
        (count == 1).then(|| self.io_apics.route(hardware, gsi, event)).flatten()
    }

    /// Returns address and data of the message that raises `event`: fixed, edge-triggered, to one CPU
    /// (SDM 3A 11.11).
    pub(super) fn message(&self, event: u32) -> (u32, u32) {
        (0xfee0_0000 | u32::from(self.request.destination) << 12, u32::from(FIRST_EVENT_VECTOR) + event)
    }
}

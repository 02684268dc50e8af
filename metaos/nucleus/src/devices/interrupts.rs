//! Which interrupt vector means which event.
//!
//! One vector an event, at a fixed distance, so that the interrupt handler needs no table.

/// Interrupt vector of event 0; those of the other events follow.
pub const FIRST_EVENT_VECTOR: u8 = 0x40;
/// Number of events, as wide as [`abi::boot::Device`] counts them.
#[expect(clippy::cast_possible_truncation, reason = "there are 64")]
const END: u32 = abi::info::EVENTS as u32;
/// First event of a device, likewise.
#[expect(clippy::cast_possible_truncation, reason = "it is less than their number")]
const FIRST: u32 = abi::info::FIRST_DEVICE_EVENT as u32;
/// Most events of one device: three queues and its configuration.
const EVENTS_PER_DEVICE: u32 = 4;

/// Returns the interrupt vector of `event`, counted modulo the number of events.
#[must_use]
pub const fn vector(event: u32) -> u8 {
    FIRST_EVENT_VECTOR + (event % END) as u8
}

/// The events that no device has yet, and the CPU that takes their interrupts.
#[derive(Debug)]
pub(super) struct Interrupts {
    next: u32,
    pub(super) destination: u8,
}

impl Interrupts {
    pub(super) const fn new(destination: u8) -> Self {
        Self { next: FIRST, destination }
    }

    /// Takes up to `wanted` events, fewer if fewer are left or one device gets no more: the first, and how many.
    pub(super) fn take(&mut self, wanted: u32) -> (u32, u32) {
        let first = self.next;
        self.next += wanted.min(EVENTS_PER_DEVICE).min(END - first);
        (first, self.next - first)
    }

    /// Returns address and data of the message that raises `event`: fixed, edge-triggered, to one CPU
    /// (SDM 3A 11.11).
    pub(super) fn message(&self, event: u32) -> (u32, u32) {
        (0xfee0_0000 | u32::from(self.destination) << 12, u32::from(vector(event)))
    }
}

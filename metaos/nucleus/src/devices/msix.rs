//! MSI-X: the table of messages by which a PCI function interrupts (PCI 3.0, 6.8.2).
//!
//! The table stays with ring 0, for an entry is a write of any value to any address. So no page of it, nor of the
//! pending bits, may be in a window.

use super::resources::{Resources, overlap, pages};
use super::{bars::Bars, config::Function};
use abi::{PhysAddr, boot::Device};
use core::ops::Range;

/// Capability identifier.
pub(super) const IDENTIFIER: u8 = 0x11;
const ENTRY_SIZE: u64 = 16;
const ENABLE: u32 = 1 << 31;
const FUNCTION_MASK: u32 = 1 << 30;
/// Vector control: the entry is masked.
const MASKED: u32 = 1;

/// A function's MSI-X capability, checked.
pub(super) struct Msix {
    capability: u8,
    entries: u32,
    table: Range<u64>,
    pending: Range<u64>,
}

impl Msix {
    /// Reads the capability at `capability`; `None` if table or pending bits are not within a memory range.
    pub(super) fn read(function: &mut Function<'_>, capability: u8, bars: &Bars) -> Option<Self> {
        let entries = (function.read(capability) >> 16 & 0x7ff) + 1;
        let mut part = |register: u8, length| {
            let place = function.read(capability.wrapping_add(register));
            bars.part((place & 7) as u8, place & !7, length)
        };
        let table = part(4, u64::from(entries) * ENTRY_SIZE)?;
        let pending = part(8, u64::from(entries.div_ceil(64)) * 8)?;
        Some(Self { capability, entries, table, pending })
    }

    /// Tells whether a window of `device` shares a page with table or pending bits.
    pub(super) fn shares_page(&self, device: &Device) -> bool {
        let own = [&self.table, &self.pending].map(pages);
        let mut windows =
            device.windows().iter().map(|window| window.physical..window.physical + window.length);
        windows.any(|window| own.iter().any(|own| overlap(own, &window)))
    }

    /// Takes events for the entries, writes the table and lets the function interrupt; returns the first event and
    /// how many. Memory decoding must be on.
    pub(super) fn enable(&self, function: &mut Function<'_>, resources: &mut Resources<'_>) -> (u32, u32) {
        let (first, count) = resources.take_events(self.entries);
        function.write(self.capability, ENABLE | FUNCTION_MASK);
        let mut words = self.table.clone().step_by(4);
        for index in 0..self.entries {
            // The guest may point a queue at any entry: those without an event are masked.
            let (address, data) = resources.message(first + index);
            let entry = if index < count { [address, 0, data, 0] } else { [0, 0, 0, MASKED] };
            for (word, at) in entry.into_iter().zip(&mut words) {
                function.hardware.write_u32(PhysAddr(at), word);
            }
        }
        function.write(self.capability, ENABLE);
        (first, count)
    }
}

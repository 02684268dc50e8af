//! Base address registers of a function: how large each is, where it lies, and a place for those without one.
//!
//! Only memory ranges count; I/O ranges stay switched off (PCI 3.0, 6.2.5.1).

use super::{config::Function, resources::Resources};
use core::ops::Range;

const FIRST_REGISTER: u8 = 0x10;
const COUNT: u8 = 6;
const ADDRESS: u32 = !0xf;

/// The memory ranges of a function, by register; empty where there is none.
#[derive(Default)]
pub(super) struct Bars([Range<u64>; COUNT as usize]);

impl Bars {
    /// Measures the ranges and gives a place to each that has none. Memory decoding must be off.
    ///
    /// `None` if a range lies, or would have to lie, where no device may.
    pub(super) fn settle(function: &mut Function<'_>, resources: &mut Resources<'_>) -> Option<Self> {
        let mut bars = Self::default();
        let mut index = 0;
        while let Some(bar) = Bar::next(function, index) {
            index = bar.index + bar.registers;
            let mask = bar.value(|register| sticky_bits(function, register));
            // The lowest address bit that keeps a one.
            let size = mask & mask.wrapping_neg();
            if size == 0 {
                continue;
            }
            let mut address = bar.value(|register| function.read(register));
            if address == 0 {
                // What lies behind a bridge is reached only within the bridge's window, which nobody has set. The
                // upper half of a wide register is 0 already.
                let place = if function.bus == 0 { resources.take(size)? } else { return None };
                function.write(register(bar.index), place);
                address = u64::from(place);
            }
            let range = address..address.checked_add(size)?;
            bars.0[usize::from(bar.index)] = resources.holds(&range).then_some(range)?;
        }
        Some(bars)
    }

    /// Returns the memory range of register `index`, if it has one.
    pub(super) fn get(&self, index: u8) -> Option<&Range<u64>> {
        self.0.get(usize::from(index)).filter(|range| !range.is_empty())
    }

    /// Returns the addresses of `offset..offset + length` of a range; `None` if that is not within it.
    pub(super) fn part(&self, index: u8, offset: u32, length: u64) -> Option<Range<u64>> {
        let range = self.get(index)?;
        let start = range.start + u64::from(offset);
        let end = start.checked_add(length)?;
        (end <= range.end).then_some(start..end)
    }
}

/// Tells whether firmware gave an address to any memory range of the function.
pub(super) fn is_any_assigned(function: &mut Function<'_>) -> bool {
    (0..COUNT).any(|index| {
        Bar::next(function, index).is_some_and(|bar| bar.value(|register| function.read(register)) != 0)
    })
}

/// One memory base address register, or two that form a wide one.
struct Bar {
    index: u8,
    registers: u8,
}

impl Bar {
    /// Returns the first memory register at or after `index`; it may turn out to be of size 0.
    fn next(function: &mut Function<'_>, index: u8) -> Option<Self> {
        let mut candidates = (index..COUNT).map(|index| (index, function.read(register(index)) & 7));
        let (index, kind) = candidates.find(|(_, kind)| matches!(kind, 0 | 4))?;
        let registers = if kind == 4 { 2 } else { 1 };
        (index + registers <= COUNT).then_some(Self { index, registers })
    }

    /// Returns the address that stands in the register, or the two, as `read` gives them.
    fn value(&self, mut read: impl FnMut(u8) -> u32) -> u64 {
        let high = if self.registers == 2 { read(register(self.index + 1)) } else { 0 };
        u64::from(high) << 32 | u64::from(read(register(self.index)) & ADDRESS)
    }
}

fn sticky_bits(function: &mut Function<'_>, register: u8) -> u32 {
    let before = function.read(register);
    function.write(register, u32::MAX);
    let bits = function.read(register);
    function.write(register, before);
    bits
}

const fn register(index: u8) -> u8 {
    FIRST_REGISTER + 4 * index
}

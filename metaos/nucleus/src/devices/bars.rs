//! Base address registers of a function: how large each is, where it lies, and a place for those without one.
//!
//! Only memory ranges count; I/O ranges stay switched off (PCI 3.0, 6.2.5.1).

use super::config::Function;
use super::resources::Resources;
use core::ops::Range;

const FIRST_REGISTER: u8 = 0x10;
const COUNT: u8 = 6;
const ADDRESS: u32 = !0xf;

/// The memory ranges of a function, by register; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct Bars([Range<u64>; COUNT as usize]);

impl Bars {
    /// Measures the ranges and gives a place to each that has none. Memory decoding must be off.
    ///
    /// `None` if a range lies, or would have to lie, where no device may.
    pub(super) fn settle(function: &mut Function<'_>, resources: &mut Resources<'_>) -> Option<Self> {
        let mut bars = Self::default();
        let mut index = 0;
        while let Some(mut bar) = Bar::next(function, index) {
            index = bar.end;
            let size = bar.measure(function);
            if size == 0 {
                continue;
            }
            if bar.address == 0 {
                // What lies behind a bridge is reached only within the bridge's window, which nobody has set. The
                // upper half of a wide register is 0 already.
                let place = if function.bus == 0 { resources.take(size)? } else { return None };
                function.write(register(bar.index), place);
                bar.address = u64::from(place);
            }
            let range = bar.address..bar.address.checked_add(size)?;
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
    (0..COUNT).any(|index| Bar::next(function, index).is_some_and(|bar| bar.address != 0))
}

/// One memory base address register, or two that form a wide one.
struct Bar {
    index: u8,
    /// Index of the register after it.
    end: u8,
    address: u64,
}

impl Bar {
    /// Returns the first memory register at or after `index`; it may turn out to be of size 0.
    fn next(function: &mut Function<'_>, index: u8) -> Option<Self> {
        let is_memory = |low: u32| matches!(low & 7, 0 | 4);
        let index = (index..COUNT).find(|index| is_memory(function.read(register(*index))))?;
        let low = function.read(register(index));
        let end = if low & 4 == 0 { index + 1 } else { index + 2 };
        let high = if low & 4 == 0 { 0 } else { function.read(register(index + 1)) };
        (end <= COUNT).then_some(Self { index, end, address: wide(low & ADDRESS, high) })
    }

    /// Finds the size: the lowest address bit that keeps a one.
    fn measure(&self, function: &mut Function<'_>) -> u64 {
        let low = sticky_bits(function, register(self.index)) & ADDRESS;
        let is_wide = self.end - self.index == 2;
        let high = if is_wide { sticky_bits(function, register(self.index + 1)) } else { 0 };
        let mask = wide(low, high);
        mask & mask.wrapping_neg()
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

fn wide(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

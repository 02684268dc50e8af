//! Base address registers of a function: how large each range is, where it lies, and a place for those without one.
//!
//! Only memory ranges count; I/O ranges stay switched off (PCI 3.0, 6.2.5.1).

use super::{config::Function, resources::Resources};
use core::{array, ops::Range};

const FIRST_REGISTER: u8 = 0x10;
const COUNT: usize = 6;
/// Kinds of registers, as their lowest bits tell.
const KIND: u32 = 7;
const NARROW: u32 = 0;
/// The next register holds the upper half of the address.
const WIDE: u32 = 4;
const ADDRESS: u32 = !0xf;

/// The memory ranges of a function, by register; empty where there is none.
#[derive(Default)]
pub(super) struct Bars([Range<u64>; COUNT]);

/// What stands in all base address registers.
#[derive(Clone, Copy)]
struct Registers([u32; COUNT]);

impl Bars {
    /// Measures the ranges and gives a place to each that has none. Memory decoding must be off.
    ///
    /// `None` if a range lies, or would have to lie, where no device may.
    pub(super) fn settle(function: &mut Function<'_>, resources: &mut Resources<'_>) -> Option<Self> {
        let mut registers = Registers::read(function);
        Registers([u32::MAX; COUNT]).write(function);
        let sticky = Registers::read(function);
        let mut bars = Self::default();
        for index in registers.memory() {
            // The lowest address bit that keeps a one.
            let size = sticky.address(index) & sticky.address(index).wrapping_neg();
            if size == 0 {
                continue;
            }
            if registers.address(index) == 0 {
                // What lies behind a bridge is reached only within the bridge's window, which nobody has set. The
                // upper half of a wide register is 0 already.
                registers.0[index] |= if function.bus == 0 { resources.take(size)? } else { return None };
            }
            let start = registers.address(index);
            let range = start..start.checked_add(size)?;
            bars.0[index] = resources.holds(&range).then_some(range)?;
        }
        registers.write(function);
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
    let registers = Registers::read(function);
    registers.memory().any(|index| registers.address(index) != 0)
}

impl Registers {
    fn read(function: &mut Function<'_>) -> Self {
        Self(array::from_fn(|index| function.read(register(index))))
    }

    fn write(self, function: &mut Function<'_>) {
        (0..COUNT).for_each(|index| function.write(register(index), self.0[index]));
    }

    /// Returns the indices at which the address of a memory range stands, or its lower half.
    fn memory(self) -> impl Iterator<Item = usize> {
        let mut upper_half = COUNT;
        (0..COUNT).filter(move |&index| {
            let kind = self.0[index] & KIND;
            let is_memory = index != upper_half && matches!(kind, NARROW | WIDE);
            if is_memory && kind == WIDE {
                upper_half = index + 1;
            }
            is_memory
        })
    }

    fn address(self, index: usize) -> u64 {
        let low = self.0[index];
        let high = self.0.get(index + 1).filter(|_| low & KIND == WIDE);
        u64::from(*high.unwrap_or(&0)) << 32 | u64::from(low & ADDRESS)
    }
}

const fn register(index: usize) -> u8 {
    FIRST_REGISTER + 4 * index as u8
}

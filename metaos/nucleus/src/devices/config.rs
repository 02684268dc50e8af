//! PCI configuration space: through the ports 0xCF8 and 0xCFC, or mapped (ECAM) where there are no ports.
//!
//! Nothing beyond the first 256 bytes of a function is needed, so the ports do wherever they are. All accesses are
//! aligned and 32 bits wide, which both ways allow.

use super::hardware::Hardware;
use super::resources::Resources;
use abi::PhysAddr;
use core::ops::Range;

/// Selects a register, and reads back what was selected.
const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
/// Selects nothing unless this is set.
const ENABLE: u32 = 1 << 31;
/// Where QEMU's microvm has its configuration space, if it has one.
pub(super) const MICROVM_ECAM: Range<u64> = 0xe000_0000..0xf000_0000;
/// Vendor and device of the host bridge that proves it.
const MICROVM_HOST_BRIDGE: u32 = 0x0008_1b36;
/// Header type in its third byte (PCI 3.0, 6.1).
const HEADER_TYPE: u8 = 0x0c;
/// Flag of the header type: there are functions besides the first.
const HAS_MORE: u8 = 1 << 7;
/// What is read where there is no function.
const NOTHING: u8 = 0xff;
/// Bus numbers of a bridge: primary, secondary, subordinate.
const BUS_NUMBERS: u8 = 0x18;

/// The two kinds of machines. This alone decides where the rest lies: what a PC has besides lies where every chipset
/// puts it; of microvms only QEMU's has more than the command line tells, in places that never change. So ring 0 reads
/// no firmware tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Platform {
    /// Has the ports.
    Pc,
    /// Has none.
    Microvm,
}

impl Platform {
    /// Finds out which this is.
    pub(super) fn detect(hardware: &mut dyn Hardware) -> Self {
        hardware.write_port(ADDRESS_PORT, ENABLE);
        if hardware.read_port(ADDRESS_PORT) == ENABLE { Self::Pc } else { Self::Microvm }
    }
}

/// The configuration space of the machine.
pub(super) struct ConfigSpace<'a> {
    hardware: &'a mut dyn Hardware,
    platform: Platform,
}

impl<'a> ConfigSpace<'a> {
    /// Finds the way to configuration space; `None` on a machine without PCI. Nothing is looked for in memory.
    pub(super) fn find(hardware: &'a mut dyn Hardware, resources: &Resources<'_>) -> Option<Self> {
        let is_there = match resources.platform {
            Platform::Pc => true,
            Platform::Microvm if resources.is_memory(&MICROVM_ECAM) => false,
            Platform::Microvm => hardware.read_u32(PhysAddr(MICROVM_ECAM.start)) == MICROVM_HOST_BRIDGE,
        };
        is_there.then_some(Self { hardware, platform: resources.platform })
    }

    /// Calls `visit` with every function that is no bridge, on every bus that firmware numbered.
    pub(super) fn for_each(&mut self, visit: &mut dyn FnMut(&mut Function<'_>)) {
        // A bridge's secondary bus has a higher number than the bridge's own, so one ascending pass sees all.
        let mut is_reachable = [false; 256];
        is_reachable[0] = true;
        for bus in 0..=u8::MAX {
            if !is_reachable[usize::from(bus)] {
                continue;
            }
            for first in (0..=u8::MAX).step_by(8) {
                let functions = match self.function(bus, first).header_type() {
                    NOTHING => 0,
                    kind if kind & HAS_MORE == 0 => 1,
                    _ => 8,
                };
                for number in (first..=first | 7).take(functions) {
                    let mut function = self.function(bus, number);
                    match function.header_type() & !HAS_MORE {
                        0 => visit(&mut function),
                        1 => {
                            let [_, secondary, ..] = function.read(BUS_NUMBERS).to_le_bytes();
                            is_reachable[usize::from(secondary)] |= secondary > bus;
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn function(&mut self, bus: u8, number: u8) -> Function<'_> {
        Function { hardware: self.hardware, platform: self.platform, bus, number }
    }
}

/// One function of one device.
pub(super) struct Function<'a> {
    pub(super) hardware: &'a mut dyn Hardware,
    platform: Platform,
    pub(super) bus: u8,
    /// Device and function.
    number: u8,
}

impl Function<'_> {
    /// Reads the aligned 32 bits that hold `register`; all ones where nothing answers.
    pub(super) fn read(&mut self, register: u8) -> u32 {
        match self.select(register) {
            Some(at) => self.hardware.read_u32(at),
            None => self.hardware.read_port(DATA_PORT),
        }
    }

    /// Writes the aligned 32 bits that hold `register`.
    pub(super) fn write(&mut self, register: u8, value: u32) {
        match self.select(register) {
            Some(at) => self.hardware.write_u32(at, value),
            None => self.hardware.write_port(DATA_PORT, value),
        }
    }

    /// Returns where a register is mapped, or selects it at the ports.
    fn select(&mut self, register: u8) -> Option<PhysAddr> {
        let (function, register) =
            (u32::from(self.bus) << 8 | u32::from(self.number), u32::from(register & !3));
        if self.platform == Platform::Pc {
            self.hardware.write_port(ADDRESS_PORT, ENABLE | function << 8 | register);
            return None;
        }
        Some(PhysAddr(MICROVM_ECAM.start + u64::from(function << 12 | register)))
    }

    /// Returns the header type: 0 for a device, 1 for a bridge, perhaps with a flag; or [`NOTHING`].
    fn header_type(&mut self) -> u8 {
        self.read(HEADER_TYPE).to_le_bytes()[2]
    }
}

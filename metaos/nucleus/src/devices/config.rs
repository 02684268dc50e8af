//! PCI configuration space: through the ports 0xCF8 and 0xCFC, or mapped (ECAM) where there are no ports.
//!
//! Nothing beyond the first 256 bytes of a function is needed, so the ports do wherever they are; only microvm and
//! its like lack them. All accesses are aligned and 32 bits wide, which both ways allow.

use super::bus::{Physical, Ports};
use abi::PhysAddr;
use core::ops::{Range, RangeInclusive};

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;
const ENABLE: u32 = 1 << 31;
/// Where QEMU's microvm has its configuration space, which no table of it tells.
const MICROVM_ECAM: u64 = 0xe000_0000;
/// Vendor and device of the host bridge that proves it.
const MICROVM_HOST_BRIDGE: u32 = 0x0008_1b36;
/// Bytes of configuration space of a bus.
const BUS_SIZE: u64 = 1 << 20;
/// Vendor and device (PCI 3.0, 6.1).
const IDENTITY: u8 = 0x00;
/// Header type in its third byte.
const HEADER_TYPE: u8 = 0x0c;
/// Bus numbers of a bridge: primary, secondary, subordinate.
const BUS_NUMBERS: u8 = 0x18;

/// Mapped configuration space of segment 0.
pub(super) struct Ecam {
    /// Address of bus 0, whether or not bus 0 is within `buses`.
    base: u64,
    buses: RangeInclusive<u8>,
}

impl Ecam {
    /// Accepts what ACPI says if it makes sense.
    pub(super) fn new(base: u64, buses: RangeInclusive<u8>) -> Option<Self> {
        let is_sound = base != 0 && base < 1 << 52 && base.is_multiple_of(BUS_SIZE);
        is_sound.then_some(Self { base, buses })
    }

    /// Looks for a microvm's.
    fn of_microvm(physical: &mut dyn Physical) -> Option<Self> {
        let is_there = physical.read_u32(PhysAddr(MICROVM_ECAM)) == MICROVM_HOST_BRIDGE;
        is_there.then_some(Self { base: MICROVM_ECAM, buses: 0..=u8::MAX })
    }

    /// Returns the addresses that it takes.
    pub(super) fn range(&self) -> Range<u64> {
        let bus = |number: &u8| self.base + u64::from(*number) * BUS_SIZE;
        bus(self.buses.start())..bus(self.buses.end()) + BUS_SIZE
    }
}

/// The configuration space of the machine.
pub(super) struct ConfigSpace<'a> {
    physical: &'a mut dyn Physical,
    ports: &'a mut dyn Ports,
    /// `None`: through the ports.
    pub(super) ecam: Option<Ecam>,
}

impl<'a> ConfigSpace<'a> {
    /// Finds the way to configuration space: the ports, else `ecam`, else where a microvm has it; `None` on a machine
    /// without PCI.
    pub(super) fn find(
        physical: &'a mut dyn Physical,
        ports: &'a mut dyn Ports,
        ecam: Option<Ecam>,
    ) -> Option<Self> {
        ports.write_u32(ADDRESS_PORT, ENABLE);
        let has_ports = ports.read_u32(ADDRESS_PORT) == ENABLE;
        let ecam = if has_ports { None } else { Some(ecam.or_else(|| Ecam::of_microvm(physical))?) };
        Some(Self { physical, ports, ecam })
    }

    /// Calls `visit` with every function that is no bridge, on every bus that firmware numbered.
    pub(super) fn for_each(&mut self, visit: &mut dyn FnMut(&mut Function<'_>)) {
        // A bridge's secondary bus has a higher number than the bridge's own, so one ascending pass sees all.
        let mut is_reachable = [false; 256];
        is_reachable[0] = true;
        for bus in self.ecam.as_ref().map_or(0..=u8::MAX, |ecam| ecam.buses.clone()) {
            let mut has_more = false;
            for number in 0..=u8::MAX {
                if !is_reachable[usize::from(bus)] || number % 8 != 0 && !has_more {
                    continue;
                }
                let mut function = self.function(bus, number);
                let header_type = function.header_type();
                if number % 8 == 0 {
                    has_more = header_type.is_some_and(|kind| kind & 0x80 != 0);
                }
                match header_type.map(|kind| kind & 0x7f) {
                    Some(0) => visit(&mut function),
                    Some(1) => {
                        let [_, secondary, ..] = function.read(BUS_NUMBERS).to_le_bytes();
                        is_reachable[usize::from(secondary)] |= secondary > bus;
                    }
                    _ => {}
                }
            }
        }
    }

    fn function(&mut self, bus: u8, number: u8) -> Function<'_> {
        let index = u32::from(bus) << 8 | u32::from(number);
        let mapped = self.ecam.as_ref().map(|ecam| ecam.base + (u64::from(index) << 12));
        Function { physical: self.physical, ports: self.ports, mapped, selector: ENABLE | index << 8, bus }
    }
}

/// One function of one device.
pub(super) struct Function<'a> {
    pub(super) physical: &'a mut dyn Physical,
    ports: &'a mut dyn Ports,
    /// Where its configuration space is mapped, or, if it is not, what selects it at the ports.
    mapped: Option<u64>,
    selector: u32,
    pub(super) bus: u8,
}

impl Function<'_> {
    /// Reads the aligned 32 bits that hold `register`; all ones where nothing answers.
    pub(super) fn read(&mut self, register: u8) -> u32 {
        match self.select(register) {
            Some(at) => self.physical.read_u32(at),
            None => self.ports.read_u32(DATA_PORT),
        }
    }

    /// Writes the aligned 32 bits that hold `register`.
    pub(super) fn write(&mut self, register: u8, value: u32) {
        match self.select(register) {
            Some(at) => self.physical.write_u32(at, value),
            None => self.ports.write_u32(DATA_PORT, value),
        }
    }

    /// Returns where a register is mapped, or selects it at the ports.
    fn select(&mut self, register: u8) -> Option<PhysAddr> {
        let register = u32::from(register & !3);
        if self.mapped.is_none() {
            self.ports.write_u32(ADDRESS_PORT, self.selector | register);
        }
        self.mapped.map(|base| PhysAddr(base + u64::from(register)))
    }

    /// Returns vendor (low half) and device.
    pub(super) fn identity(&mut self) -> u32 {
        self.read(IDENTITY)
    }

    /// Returns the header type, with bit 7 set if the device has more functions; `None` if nothing is there.
    fn header_type(&mut self) -> Option<u8> {
        let is_there = !matches!(self.identity() & 0xffff, 0 | 0xffff);
        is_there.then(|| self.read(HEADER_TYPE).to_le_bytes()[2])
    }
}

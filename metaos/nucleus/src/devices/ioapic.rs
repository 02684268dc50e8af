//! I/O APICs: which interrupt line raises which vector (82093AA data sheet, 3.2).
//!
//! Lines are programmed edge-triggered and active high: serial ports are so, and a virtio-mmio driver reads the
//! cause before it looks at the queues, so no later edge is lost.

use super::acpi::Tables;
use super::bus::Physical;
use super::resources::Resources;
use abi::PhysAddr;

/// Most I/O APICs that are used.
pub const MAX_IO_APICS: usize = 4;
/// Where the first I/O APIC of a PC is, if no table says.
const DEFAULT: IoApic = IoApic { address: 0xfec0_0000, first_gsi: 0, pins: 0 };
/// Offset of the data register from the selecting register, and bytes of both.
const DATA: u64 = 0x10;
const SIZE: u64 = 0x20;
const VERSION: u32 = 1;
/// Redirection entries: two registers each.
const REDIRECTIONS: u32 = 0x10;
/// As many as the 8 bits of a register's number allow.
const MAX_PINS: u32 = 120;
const MASKED: u32 = 1 << 16;

/// The I/O APICs of the machine.
#[derive(Debug)]
pub struct IoApics {
    io_apics: [IoApic; MAX_IO_APICS],
    destination: u8,
}

/// One I/O APIC; `pins` is 0 if there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IoApic {
    pub(super) address: u64,
    pub(super) first_gsi: u32,
    pins: u32,
}

impl IoApics {
    /// Takes over those that the tables name, or the usual one if they name none, and masks every pin.
    pub(super) fn new(physical: &mut dyn Physical, tables: &Tables, resources: &Resources<'_>) -> Self {
        let mut io_apics = tables.io_apics;
        io_apics[0] = if io_apics[0].address == 0 { DEFAULT } else { io_apics[0] };
        for io_apic in &mut io_apics {
            io_apic.take_over(physical, resources);
        }
        Self { io_apics, destination: resources.interrupts.destination }
    }

    /// Tells whether there is a pin for the global system interrupt `gsi`.
    #[must_use]
    pub fn has_gsi(&self, gsi: u32) -> bool {
        self.find(gsi).is_some()
    }

    /// Lets the global system interrupt `gsi` (an ISA interrupt has its own number) raise `vector` on the CPU given
    /// to discovery. Does nothing if there is no such pin.
    pub fn route(&self, physical: &mut dyn Physical, gsi: u32, vector: u8) {
        if let Some((io_apic, pin)) = self.find(gsi) {
            let register = REDIRECTIONS + 2 * pin;
            io_apic.write(physical, register + 1, u32::from(self.destination) << 24);
            io_apic.write(physical, register, u32::from(vector));
        }
    }

    fn find(&self, gsi: u32) -> Option<(&IoApic, u32)> {
        self.io_apics.iter().find_map(|io_apic| {
            let pin = gsi.checked_sub(io_apic.first_gsi)?;
            (pin < io_apic.pins).then_some((io_apic, pin))
        })
    }
}

impl IoApic {
    fn take_over(&mut self, physical: &mut dyn Physical, resources: &Resources<'_>) {
        let is_memory = resources.is_memory(&(self.address..self.address + SIZE));
        if self.address != 0 && self.address.is_multiple_of(0x100) && !is_memory {
            let version = self.read(physical, VERSION);
            let is_there = !matches!(version, 0 | u32::MAX);
            self.pins = if is_there { ((version >> 16 & 0xff) + 1).min(MAX_PINS) } else { 0 };
        }
        for pin in 0..self.pins {
            self.write(physical, REDIRECTIONS + 2 * pin, MASKED);
        }
    }

    fn read(&self, physical: &mut dyn Physical, register: u32) -> u32 {
        physical.write_u32(PhysAddr(self.address), register);
        physical.read_u32(PhysAddr(self.address + DATA))
    }

    fn write(&self, physical: &mut dyn Physical, register: u32, value: u32) {
        physical.write_u32(PhysAddr(self.address), register);
        physical.write_u32(PhysAddr(self.address + DATA), value);
    }
}

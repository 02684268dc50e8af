//! I/O APICs: which interrupt line raises which vector (82093AA data sheet, 3.2).
//!
//! Lines are programmed edge-triggered and active high: serial ports are so, and a virtio-mmio driver reads the
//! cause before it looks at the queues, so no later edge is lost.

use super::{acpi::Tables, bus::Physical, resources::Resources};
use abi::PhysAddr;
use heapless::Vec;

/// Most I/O APICs that are used.
pub(super) const MAX_IO_APICS: usize = 4;
/// Where the first I/O APIC of a PC is, if no table says.
const USUAL_ADDRESS: u64 = 0xfec0_0000;
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
    io_apics: Vec<IoApic, MAX_IO_APICS>,
    destination: u8,
}

/// One I/O APIC; `pins` is 0 if it is not there.
#[derive(Debug)]
pub(super) struct IoApic {
    address: u64,
    first_gsi: u32,
    pins: u32,
}

impl IoApics {
    /// Takes over those that the tables name, or the usual one if they name none, and masks every pin.
    pub(super) fn new(physical: &mut dyn Physical, tables: &Tables, resources: &Resources<'_>) -> Self {
        let usual = [(USUAL_ADDRESS, 0)];
        let named = if tables.io_apics.is_empty() { &usual[..] } else { &tables.io_apics };
        let mut io_apics = Self { io_apics: Vec::new(), destination: resources.destination };
        for &(address, first_gsi) in named {
            if address.is_multiple_of(0x100) && !resources.is_memory(&(address..address + SIZE)) {
                let mut io_apic = IoApic { address, first_gsi, pins: 0 };
                let version = io_apic.read(physical, VERSION);
                let is_there = !matches!(version, 0 | u32::MAX);
                io_apic.pins = if is_there { ((version >> 16 & 0xff) + 1).min(MAX_PINS) } else { 0 };
                (0..io_apic.pins).for_each(|pin| io_apic.write(physical, REDIRECTIONS + 2 * pin, MASKED));
                io_apics.io_apics.push(io_apic).ok();
            }
        }
        io_apics
    }

    /// Tells whether there is a pin for the global system interrupt `gsi`.
    pub(super) fn has_gsi(&self, gsi: u32) -> bool {
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
    fn read(&self, physical: &mut dyn Physical, register: u32) -> u32 {
        physical.write_u32(PhysAddr(self.address), register);
        physical.read_u32(PhysAddr(self.address + DATA))
    }

    fn write(&self, physical: &mut dyn Physical, register: u32, value: u32) {
        physical.write_u32(PhysAddr(self.address), register);
        physical.write_u32(PhysAddr(self.address + DATA), value);
    }
}

//! I/O APICs: which interrupt line raises which event (82093AA data sheet, 3.2).
//!
//! Lines are programmed edge-triggered and active high: serial ports are so, and a virtio-mmio driver reads the
//! cause before it looks at the queues, so no later edge is lost.

use super::resources::FIRST_EVENT_VECTOR;
use super::{config::Platform, hardware::Hardware};
use abi::PhysAddr;
use heapless::Vec;

/// Where a PC has its I/O APIC, and QEMU's microvm a second one: address and first global system interrupt.
const PLACES: [(u64, u32); 2] = [(0xfec0_0000, 0), (0xfec1_0000, 24)];
/// Offset of the data register from the selecting register.
const DATA: u64 = 0x10;
const VERSION: u32 = 1;
/// Redirection entries: two registers each.
const REDIRECTIONS: u32 = 0x10;
/// As many as the 8 bits of a register's number allow.
const MAX_PINS: u32 = 120;
const MASKED: u32 = 1 << 16;

/// The I/O APICs of the machine.
#[derive(Debug)]
pub(super) struct IoApics {
    io_apics: Vec<IoApic, { PLACES.len() }>,
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
    /// Takes over those that are there, and masks every pin. Interrupts will go to the CPU `destination`.
    pub(super) fn new(hardware: &mut dyn Hardware, platform: Platform, destination: u8) -> Self {
        let count = if platform == Platform::Pc { 1 } else { PLACES.len() };
        let io_apics = PLACES.iter().take(count).map(|&(address, first_gsi)| {
            let mut io_apic = IoApic { address, first_gsi, pins: 0 };
            let version = io_apic.read(hardware, VERSION);
            let is_there = !matches!(version, 0 | u32::MAX);
            io_apic.pins = if is_there { ((version >> 16 & 0xff) + 1).min(MAX_PINS) } else { 0 };
            (0..io_apic.pins).for_each(|pin| io_apic.write(hardware, REDIRECTIONS + 2 * pin, MASKED));
            io_apic
        });
        Self { io_apics: io_apics.collect(), destination }
    }

    /// Lets the global system interrupt `gsi` (an ISA interrupt has its own number) raise `event` on the CPU given to
    /// discovery; if another line has the same pin, that one's event. Returns the event; `None` if there is no such pin.
    pub(super) fn route(&self, hardware: &mut dyn Hardware, gsi: u32, event: u32) -> Option<u32> {
        let (io_apic, pin) = self.find(gsi)?;
        let register = REDIRECTIONS + 2 * pin;
        let shared = io_apic.read(hardware, register);
        if shared & MASKED == 0 {
            return (shared & 0xff).checked_sub(FIRST_EVENT_VECTOR.into());
        }
        io_apic.write(hardware, register + 1, u32::from(self.destination) << 24);
        io_apic.write(hardware, register, u32::from(FIRST_EVENT_VECTOR) + event);
        Some(event)
    }

    /// Finds the pin of a global system interrupt.
    pub(super) fn find(&self, gsi: u32) -> Option<(&IoApic, u32)> {
        self.io_apics.iter().find_map(|io_apic| {
            let line = gsi.checked_sub(io_apic.first_gsi)?;
            // A PC's timer has pin 2, and QEMU wires the first line of every I/O APIC so.
            let pin = if line == 0 { 2 } else { line };
            (pin < io_apic.pins).then_some((io_apic, pin))
        })
    }
}

impl IoApic {
    fn read(&self, hardware: &mut dyn Hardware, register: u32) -> u32 {
        hardware.write_u32(PhysAddr(self.address), register);
        hardware.read_u32(PhysAddr(self.address + DATA))
    }

    fn write(&self, hardware: &mut dyn Hardware, register: u32, value: u32) {
        hardware.write_u32(PhysAddr(self.address), register);
        hardware.write_u32(PhysAddr(self.address + DATA), value);
    }
}

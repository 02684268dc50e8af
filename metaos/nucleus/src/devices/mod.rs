//! Device discovery: finds the virtio devices of the machine and makes them ready to be driven from ring 3.
//!
//! Runs once, at boot, before any guest. Ring 0 keeps what could break isolation between pages (config space, base
//! address registers, MSI-X tables, I/O APICs); ring 3 gets windows of whole pages that hold nothing but virtio
//! registers. Everything read from devices is checked before it is used; a device that does not fit is left switched
//! off. Only virtio is looked for, and no table of firmware is read: `config` says why.

pub mod hardware;

mod bars;
mod config;
mod ioapic;
mod msix;
mod resources;
mod virtio_mmio;
mod virtio_pci;

pub use resources::FIRST_EVENT_VECTOR;

#[cfg(test)]
mod tests;

use abi::boot::{Device, MAX_DEVICES};
use config::{ConfigSpace, Platform};
use core::ops::Range;
use hardware::Hardware;
use heapless::Vec;
use resources::Resources;

/// The devices found. There is room for no more.
pub type Devices = Vec<Device, MAX_DEVICES>;

/// What discovery has to know of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whether the machine has ACPI tables.
    pub has_acpi: bool,
    /// The kernel command line, for `virtio_mmio.device=`.
    pub command_line: &'a [u8],
    /// All memory, usable or not. No device is accepted there.
    pub ram: &'a [Range<u64>],
    /// End of what the CPU can address. No device is accepted beyond.
    pub physical_end: u64,
    /// APIC identifier of the CPU that takes device interrupts.
    pub destination: u8,
}

/// Finds the machine's virtio devices.
///
/// Afterwards each device is reset, its interrupts reach the CPU at the vectors of its events, and nothing but the
/// driver's own steps (virtio 1.2, 3.1.1) is left to do.
pub fn discover(hardware: &mut dyn Hardware, request: &Request<'_>) -> Devices {
    let mut resources = Resources::new(hardware, request);
    let mut devices = Devices::new();
    if let Some(mut config) = ConfigSpace::find(hardware, &resources) {
        virtio_pci::find(&mut config, &mut resources, &mut devices);
    }
    let listed = virtio_mmio::listed(request.command_line);
    // Elsewhere PCI may decode there.
    let may_hide =
        resources.platform == Platform::Microvm && devices.is_empty() && listed.clone().count() == 0;
    let hidden = virtio_mmio::hidden(&resources, request.has_acpi).filter(|_| may_hide);
    for transport in listed.chain(hidden) {
        if let Some(device) = transport.set_up(hardware, &mut resources) {
            devices.push(device).ok();
        }
    }
    devices
}

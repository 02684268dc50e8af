//! Device discovery: finds the virtio devices of the machine and makes them ready to be driven from ring 3.
//!
//! Runs once, at boot, before any guest. Ring 0 keeps what could break isolation between pages (config space, base
//! address registers, MSI-X tables, I/O APICs); ring 3 gets windows of whole pages that hold nothing but virtio
//! registers. Everything read from tables and devices is checked before it is used; a device that does not fit is
//! left switched off and counted. Only virtio is looked for.

pub mod bus;
pub mod ioapic;
pub mod rtc;

mod acpi;
mod bars;
mod config;
mod msix;
mod resources;
mod virtio_mmio;
mod virtio_pci;

pub use resources::{FIRST_EVENT_VECTOR, vector};

#[cfg(test)]
mod tests;

use abi::{PhysAddr, boot::Device};
use acpi::Tables;
use bus::{Physical, Ports};
use config::ConfigSpace;
use core::ops::Range;
use ioapic::IoApics;
use resources::Resources;

/// What discovery has to know of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// ACPI's root pointer, as the loader told; `None` on a machine without ACPI.
    pub rsdp: Option<PhysAddr>,
    /// The kernel command line, for `virtio_mmio.device=`.
    pub command_line: &'a [u8],
    /// All memory, usable or not. No device is accepted there.
    pub ram: &'a [Range<u64>],
    /// Width of physical addresses (CPUID leaf `0x8000_0008`). No device is accepted beyond.
    pub address_bits: u8,
    /// APIC identifier of the CPU that takes device interrupts.
    pub destination: u8,
}

/// What discovery found besides the devices.
#[derive(Debug)]
pub struct Found {
    /// Devices filled in.
    pub count: usize,
    /// virtio devices that were left out: legacy, malformed, without room for their registers, or too many.
    pub refused: usize,
    /// The I/O APICs, all pins masked but those of the devices found.
    pub io_apics: IoApics,
}

/// Finds the machine's virtio devices and fills `devices` from its start.
///
/// Afterwards each device is reset, its interrupts reach the CPU at [`vector`] of its events, and
/// nothing but the driver's own steps (virtio 1.2, 3.1.1) is left to do.
pub fn discover(
    physical: &mut dyn Physical,
    ports: &mut dyn Ports,
    request: &Request<'_>,
    devices: &mut [Device],
) -> Found {
    let tables = Tables::read(physical, request.rsdp);
    let mut resources = Resources::new(request, tables.ecam.as_ref());
    let io_apics = IoApics::new(physical, &tables, &resources);
    let mut found = Found { count: 0, refused: 0, io_apics };

    let config = ConfigSpace::find(physical, ports, tables.ecam)
        .filter(|config| config.ecam.as_ref().is_none_or(|ecam| !resources.is_memory(&ecam.range())));
    let has_ports = config.as_ref().is_some_and(|config| config.ecam.is_none());
    if let Some(mut config) = config {
        virtio_pci::find(&mut config, &mut resources, &mut |device| found.add(devices, device));
    }
    for transport in virtio_mmio::listed(request.command_line) {
        found.add(devices, transport.set_up(physical, &found.io_apics, &mut resources));
    }
    // Only a microvm, which has no configuration ports, hides its transports; elsewhere PCI may decode there.
    let is_microvm = found.count == 0 && !has_ports;
    for transport in virtio_mmio::hidden(&found.io_apics, tables.is_present).filter(|_| is_microvm) {
        if let Some(device) = transport.set_up(physical, &found.io_apics, &mut resources) {
            found.add(devices, Some(device));
        }
    }
    found
}

impl Found {
    fn add(&mut self, devices: &mut [Device], device: Option<Device>) {
        if let (Some(device), Some(slot)) = (device, devices.get_mut(self.count)) {
            *slot = device;
            self.count += 1;
        } else {
            self.refused += 1;
        }
    }
}

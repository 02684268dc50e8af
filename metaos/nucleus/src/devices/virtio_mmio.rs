//! virtio over MMIO (virtio 1.2, 4.2): register blocks at addresses that nothing can enumerate.
//!
//! The command line lists them as Linux has it, `virtio_mmio.device=SIZE@BASE:IRQ[:ID]`. QEMU's microvm with ACPI
//! lists them only in AML, which is not read here; there its fixed slots are looked at.

use super::resources::{Resources, vector};
use super::{bus::Physical, ioapic::IoApics, virtio_pci::add_window};
use abi::boot::{Device, Region, region, transport};
use abi::{PhysAddr, cmdline::Words};

const OPTION: &[u8] = b"virtio_mmio.device=";
/// First registers (4.2.2): "virt", then the version; 1 is the legacy interface, which is not driven.
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
const STATUS: u64 = 0x070;
/// Offset of the device configuration, which ends the block.
const CONFIGURATION: u32 = 0x100;
/// No register block is longer.
const MAX_LENGTH: u64 = 0x1_0000;
/// QEMU's microvm: this many transports of 512 bytes each.
const MICROVM_BASE: u64 = 0xfeb0_0000;
const MICROVM_LENGTH: u64 = 0x200;
const MICROVM_TRANSPORTS: u32 = 24;

/// A register block that may hold a device.
#[derive(Default)]
pub(super) struct Transport {
    base: u64,
    length: u64,
    gsi: u32,
}

/// Returns the transports that the machine's part of the command line lists.
///
/// What cannot be read becomes a transport where no device may be.
pub(super) fn listed(command_line: &[u8]) -> impl Iterator<Item = Transport> {
    let options = Words::new(command_line).take_while(|word| !word.is_separator());
    options.filter_map(|word| word.raw().strip_prefix(OPTION)).map(|value| parse(value).unwrap_or_default())
}

/// Returns the fixed slots of a microvm. Their interrupts start at 24 if there is a second I/O APIC, at 16 with ACPI
/// and one, at 5 without ACPI.
pub(super) fn hidden(io_apics: &IoApics, has_acpi: bool) -> impl Iterator<Item = Transport> + use<> {
    let without_second = if has_acpi { 16 } else { 5 };
    let first_gsi = if io_apics.has_gsi(24) { 24 } else { without_second };
    (0..MICROVM_TRANSPORTS).map(move |index| Transport {
        base: MICROVM_BASE + u64::from(index) * MICROVM_LENGTH,
        length: MICROVM_LENGTH,
        gsi: first_gsi + index,
    })
}

impl Transport {
    /// Resets the device and routes its interrupt; `None` if no modern device is there.
    pub(super) fn set_up(
        &self,
        physical: &mut dyn Physical,
        io_apics: &IoApics,
        resources: &mut Resources<'_>,
    ) -> Option<Device> {
        let block = self.base..self.base.checked_add(self.length)?;
        let is_plausible = self.base.is_multiple_of(4)
            && (u64::from(CONFIGURATION)..=MAX_LENGTH).contains(&self.length)
            && resources.holds(&block);
        let kind = if is_plausible { identify(physical, self.base)? } else { return None };
        physical.write_u32(PhysAddr(self.base + STATUS), 0);
        let mut device = Device { transport: transport::VIRTIO_MMIO, kind, ..Device::default() };
        add_window(&mut device, region::COMMON, &block);
        // Unless the block is whole pages, other transports may lie in them too.
        device.windows[0].shared = u64::from(device.windows[0].length != self.length);
        let Region { window, offset, length } = device.regions[region::COMMON];
        let (offset, length) = (offset + CONFIGURATION, length - u64::from(CONFIGURATION));
        device.regions[region::DEVICE] = Region { window, offset, length };
        if io_apics.has_gsi(self.gsi) {
            (device.first_event, device.event_count) = resources.take_events(1);
        }
        if device.event_count != 0 {
            io_apics.route(physical, self.gsi, vector(device.first_event));
        }
        Some(device)
    }
}

/// Returns the device type if a modern device is at `base`.
fn identify(physical: &mut dyn Physical, base: u64) -> Option<u32> {
    let [magic, version, kind] = [0, 4, 8].map(|offset| physical.read_u32(PhysAddr(base + offset)));
    (magic == MAGIC && version == VERSION && kind != 0).then_some(kind)
}

/// Reads `SIZE@BASE:IRQ[:ID]`.
fn parse(value: &[u8]) -> Option<Transport> {
    let mut parts = value.split(|byte| matches!(byte, b'@' | b':'));
    let size = parts.next()?;
    let (size, shift) = match size.split_last()? {
        (b'K' | b'k', size) => (size, 10),
        (b'M' | b'm', size) => (size, 20),
        _ => (size, 0),
    };
    let length = number(size)?.checked_mul(1 << shift)?;
    let base = number(parts.next()?)?;
    let gsi = u32::try_from(number(parts.next()?)?).ok()?;
    Some(Transport { base, length, gsi })
}

/// Reads a number: decimal, or hexadecimal after `0x`.
fn number(text: &[u8]) -> Option<u64> {
    let (digits, radix) = text.strip_prefix(b"0x").map_or((text, 10), |digits| (digits, 16));
    u64::from_str_radix(str::from_utf8(digits).ok()?, radix).ok()
}

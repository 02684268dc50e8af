//! virtio over MMIO (virtio 1.2, 4.2): register blocks at addresses that nothing can enumerate.
//!
//! The command line lists them as Linux has it, `virtio_mmio.device=SIZE@BASE:IRQ[:ID]`. QEMU's microvm with ACPI
//! lists them only in AML, which is not read here; there its fixed slots are looked at.

use super::{hardware::Hardware, resources::Resources, virtio_pci::add_window};
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
pub(super) fn listed(command_line: &[u8]) -> impl Iterator<Item = Transport> + Clone {
    let options = Words::new(command_line).take_while(|word| !word.is_separator());
    options.filter_map(|word| word.raw().strip_prefix(OPTION)).map(|value| parse(value).unwrap_or_default())
}

/// Returns the fixed slots of a microvm. Their interrupts start at 24 if there is a second I/O APIC, at 16 with ACPI
/// and one, at 5 without ACPI.
pub(super) fn hidden(resources: &Resources<'_>, has_acpi: bool) -> impl Iterator<Item = Transport> + use<> {
    let without_second = if has_acpi { 16 } else { 5 };
    let first_gsi = if resources.io_apics.find(24).is_some() { 24 } else { without_second };
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
        hardware: &mut dyn Hardware,
        resources: &mut Resources<'_>,
    ) -> Option<Device> {
        let block = self.base..self.base.checked_add(self.length)?;
        let is_plausible = self.base.is_multiple_of(4)
            && (u64::from(CONFIGURATION)..=MAX_LENGTH).contains(&self.length)
            && resources.holds(&block);
        let kind = if is_plausible { identify(hardware, self.base)? } else { return None };
        hardware.write_u32(PhysAddr(self.base + STATUS), 0);
        let mut device = Device { transport: transport::VIRTIO_MMIO, kind, ..Device::default() };
        add_window(&mut device, region::COMMON, &block);
        // Unless the block is whole pages, other transports may lie in them too.
        device.windows[0].shared = u64::from(device.windows[0].length != self.length);
        let Region { window, offset, length } = device.regions[region::COMMON];
        let (offset, length) = (offset + CONFIGURATION, length - u64::from(CONFIGURATION));
        device.regions[region::DEVICE] = Region { window, offset, length };
        if let Some(event) = resources.take_line(hardware, self.gsi) {
            (device.first_event, device.event_count) = (event, 1);
        }
        Some(device)
    }
}

/// Returns the device type if a modern device is at `base`.
fn identify(hardware: &mut dyn Hardware, base: u64) -> Option<u32> {
    let [magic, version, kind] = [0, 4, 8].map(|offset| hardware.read_u32(PhysAddr(base + offset)));
    (magic == MAGIC && version == VERSION && kind != 0).then_some(kind)
}

/// Reads `SIZE@BASE:IRQ[:ID]`; the size may be in KiB (`4K`).
fn parse(value: &[u8]) -> Option<Transport> {
    let (size, place) = str::from_utf8(value).ok()?.split_once('@')?;
    let length = match size.strip_suffix(['K', 'k']) {
        Some(kib) => number(kib)?.checked_mul(1024)?,
        None => number(size)?,
    };
    let mut place = place.split(':').map(number);
    let (base, gsi) = (place.next()??, place.next()??);
    Some(Transport { base, length, gsi: gsi.try_into().ok()? })
}

/// Reads a number: decimal, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    u64::from_str_radix(digits, radix).ok()
}

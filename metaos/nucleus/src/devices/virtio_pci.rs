//! virtio over PCI (virtio 1.2, 4.1): from a function to a [`Device`] with windows, regions and events.
//!
//! Windows are whole pages within the function's own memory ranges, so that ring 3 gets no other device's registers.

use super::Devices;
use super::bars::{self, Bars};
use super::config::{ConfigSpace, Function};
use super::msix::{self, Msix};
use super::resources::{Resources, pages};
use abi::boot::{Device, MAX_WINDOWS, Region, Window, region, transport};
use abi::{PAGE_SIZE, PhysAddr};
use core::ops::Range;

/// Vendor (low half) and device.
const IDENTITY: u8 = 0x00;
const VENDOR: u32 = 0x1af4;
/// Command register and, in its upper half, status (PCI 3.0, 6.2.2), whose bits only ones would clear.
const COMMAND: u8 = 0x04;
const MEMORY: u32 = 1 << 1;
const BUS_MASTER: u32 = 1 << 2;
const INTX_OFF: u32 = 1 << 10;
const HAS_CAPABILITIES: u32 = 1 << 20;
/// Subsystem vendor and subsystem.
const SUBSYSTEM: u8 = 0x2c;
/// Offset of the first capability.
const CAPABILITIES: u8 = 0x34;
/// Identifier of a vendor's capability.
const VENDOR_SPECIFIC: u8 = 0x09;
/// More capabilities than fit 256 bytes mean a loop.
const MAX_CAPABILITIES: usize = 48;
/// Bytes of the common configuration (4.1.4.3), up to `queue_device`.
const COMMON_LENGTH: u64 = 0x38;
/// Offset of `device_status` in the common configuration.
const DEVICE_STATUS: u64 = 0x14;

/// Makes every virtio function ready; one that cannot be stays off.
pub(super) fn find(config: &mut ConfigSpace<'_>, resources: &mut Resources<'_>, devices: &mut Devices) {
    let mut is_assigned = false;
    config.for_each(&mut |function| is_assigned |= bars::is_any_assigned(function));
    if is_assigned {
        resources.close_hole();
    }
    config.for_each(&mut |function| {
        let identity = function.read(IDENTITY);
        if matches!((identity & 0xffff, identity >> 16), (VENDOR, 0x1000..=0x107f))
            && let Some(device) = set_up(function, resources)
        {
            devices.push(device).ok();
        }
    });
}

fn set_up(function: &mut Function<'_>, resources: &mut Resources<'_>) -> Option<Device> {
    // Nothing may decode at the values in between while ranges are measured and moved.
    function.write(COMMAND, INTX_OFF);
    let bars = Bars::settle(function, resources)?;
    let (mut device, msix) = read_capabilities(function, &bars)?;
    let [common, notify, ..] = device.regions;
    let is_shared = msix.as_ref().is_some_and(|msix| msix.shares_page(&device));
    if common.length < COMMON_LENGTH || notify.length == 0 || is_shared {
        return None;
    }
    function.write(COMMAND, INTX_OFF | MEMORY);
    // A device that firmware used must not go on writing to its queues once it is bus master.
    let common = device.windows[common.window as usize].physical + u64::from(common.offset);
    function.hardware.write_u8(PhysAddr(common + DEVICE_STATUS), 0);
    if let Some(msix) = &msix {
        (device.first_event, device.event_count) = msix.enable(function, resources);
    }
    function.write(COMMAND, INTX_OFF | MEMORY | BUS_MASTER);
    Some(device)
}

/// Returns the device type (4.1.2.1), which a transitional device keeps in its subsystem identifier.
fn kind(function: &mut Function<'_>) -> Option<u32> {
    let modern = (function.read(IDENTITY) >> 16).checked_sub(0x1040);
    let kind = modern.unwrap_or_else(|| function.read(SUBSYSTEM) >> 16);
    (kind != 0).then_some(kind)
}

/// Walks the capabilities: lays a window over each register block, and finds MSI-X. `None` if what they say does not
/// fit the function's memory ranges.
fn read_capabilities(function: &mut Function<'_>, bars: &Bars) -> Option<(Device, Option<Msix>)> {
    let kind = kind(function)?;
    let mut device = Device { transport: transport::VIRTIO_PCI, kind, ..Device::default() };
    let mut msix = None;
    let has_list = function.read(COMMAND) & HAS_CAPABILITIES != 0;
    let mut next = if has_list { function.read(CAPABILITIES).to_le_bytes()[0] } else { 0 };
    for _ in 0..MAX_CAPABILITIES {
        let at = next & !3;
        if at < 0x40 {
            break;
        }
        let (identifier, kind);
        [identifier, next, _, kind] = function.read(at).to_le_bytes();
        match (identifier, kind) {
            (VENDOR_SPECIFIC, 1..=4) => add_region(&mut device, function, at, usize::from(kind - 1), bars)?,
            (msix::IDENTIFIER, _) => msix = Some(Msix::read(function, at, bars)?),
            _ => {}
        }
    }
    Some((device, msix))
}

/// Reads a `virtio_pci_cap` (4.1.4). The first usable one of each type counts; those that name a reserved register or an
/// I/O range are to be passed over.
fn add_region(
    device: &mut Device,
    function: &mut Function<'_>,
    at: u8,
    index: usize,
    bars: &Bars,
) -> Option<()> {
    let [bar, offset, length, multiplier] = [4, 8, 12, 16].map(|field| function.read(at.wrapping_add(field)));
    let [bar, ..] = bar.to_le_bytes();
    let Some(range) = bars.get(bar).filter(|_| device.regions[index].length == 0 && length != 0) else {
        return Some(());
    };
    let region = bars.part(bar, offset, u64::from(length))?;
    let pages = pages(&region);
    if pages.start < range.start || range.end < pages.end {
        return None;
    }
    add_window(device, index, &region);
    if index == region::NOTIFY {
        device.notify_multiplier = multiplier;
    }
    Some(())
}

/// Adds a window of the whole pages that hold `range`, and the region `index` in it.
pub(super) fn add_window(device: &mut Device, index: usize, range: &Range<u64>) {
    const { assert!(region::COUNT <= MAX_WINDOWS, "each region may need a window") };
    let pages = pages(range);
    let offset = u32::try_from(range.start % PAGE_SIZE as u64).unwrap_or(0);
    device.regions[index] = Region { window: device.window_count, offset, length: range.end - range.start };
    device.windows[device.window_count as usize] =
        Window { physical: pages.start, length: pages.end - pages.start, shared: 0 };
    device.window_count += 1;
}

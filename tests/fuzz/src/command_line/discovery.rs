//! The nucleus's device discovery, on a machine where everything that a line names is a virtio device.

#[path = "../../../../metaos/nucleus/src/devices/mod.rs"]
#[rustfmt::skip]
mod devices;

use abi::boot::{Device, transport};
use abi::{PAGE_SIZE, PhysAddr};
use core::ops::Range;
use devices::Request;
use devices::hardware::Hardware;

/// Memory; no device may be found in it.
const RAM: [Range<u64>; 2] = [0..0x8000_0000, 0x1_0000_0000..0x1_8000_0000];
const PHYSICAL_END: u64 = 1 << 40;

/// Every 4 KiB of it, or 512 bytes, starts like the registers of a network card (virtio 1.2, 4.2.2). It has no
/// configuration ports, as a microvm.
struct DevicesEverywhere;

/// Lets discovery read the line, and checks that what it hands to ring 3 is device space in whole pages.
pub(crate) fn check(line: &[u8]) {
    let request = Request {
        has_acpi: false,
        command_line: line,
        ram: &RAM,
        physical_end: PHYSICAL_END,
        destination: 0,
    };
    let devices = devices::discover(&mut DevicesEverywhere, &request);
    for device in &devices {
        assert_eq!(device.transport, transport::VIRTIO_MMIO);
        check_windows(device);
    }
}

fn check_windows(device: &Device) {
    let windows = device.windows();
    for window in windows {
        let end = window.physical.checked_add(window.length).expect("a window does not wrap around");
        assert!(
            window.physical.is_multiple_of(PAGE_SIZE as u64)
                && window.length.is_multiple_of(PAGE_SIZE as u64)
        );
        assert!(window.length > 0 && end <= PHYSICAL_END);
        assert!(RAM.iter().all(|ram| end <= ram.start || ram.end <= window.physical), "memory is no device");
    }
    for region in &device.regions {
        let window = windows.get(usize::try_from(region.window).expect("a small number"));
        let end = u64::from(region.offset) + region.length;
        assert!(region.length == 0 || window.is_some_and(|window| end <= window.length), "{region:?}");
    }
}

impl Hardware for DevicesEverywhere {
    fn read_u32(&mut self, at: PhysAddr) -> u32 {
        assert!(at.0.is_multiple_of(4), "32-bit accesses are aligned");
        match at.0 % 0x200 {
            0 => 0x7472_6976,
            4 => 2,
            8 => 1,
            _ => 0,
        }
    }

    fn write_u8(&mut self, _: PhysAddr, _: u8) {}

    fn write_u32(&mut self, at: PhysAddr, _: u32) {
        let is_memory = RAM.iter().any(|ram| ram.contains(&at.0));
        assert!(!is_memory && at.0.is_multiple_of(4), "discovery writes to devices only: {at}");
    }

    fn read_port(&mut self, _: u16) -> u32 {
        u32::MAX
    }

    fn write_port(&mut self, _: u16, _: u32) {}
}

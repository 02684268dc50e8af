//! The nucleus's device discovery, on a machine where everything that a line names is a virtio device.

#[path = "../../../../metaos/nucleus/src/devices/mod.rs"]
#[rustfmt::skip]
mod devices;

use abi::boot::{Device, MAX_DEVICES, transport};
use abi::{PAGE_SIZE, PhysAddr};
use core::ops::Range;
use devices::Request;
use devices::bus::{Physical, Ports};

/// Memory; no device may be found in it.
const RAM: [Range<u64>; 2] = [0..0x8000_0000, 0x1_0000_0000..0x1_8000_0000];
const ADDRESS_BITS: u8 = 40;

/// Every 4 KiB of it, or 512 bytes, starts like the registers of a network card (virtio 1.2, 4.2.2).
struct DevicesEverywhere;

/// No configuration ports, as on a microvm.
struct NoPorts;

/// Lets discovery read the line, and checks that what it hands to ring 3 is device space in whole pages.
pub(crate) fn check(line: &[u8]) {
    let request =
        Request { rsdp: None, command_line: line, ram: &RAM, address_bits: ADDRESS_BITS, destination: 0 };
    let mut devices = [Device::default(); MAX_DEVICES];
    let found = devices::discover(&mut DevicesEverywhere, &mut NoPorts, &request, &mut devices);
    assert!(found.count <= MAX_DEVICES);
    for device in &devices[..found.count] {
        assert_eq!(device.transport, transport::VIRTIO_MMIO);
        check_windows(device);
    }
}

fn check_windows(device: &Device) {
    let windows = &device.windows[..usize::try_from(device.window_count).expect("a small number")];
    for window in windows {
        let end = window.physical.checked_add(window.length).expect("a window does not wrap around");
        assert!(
            window.physical.is_multiple_of(PAGE_SIZE as u64)
                && window.length.is_multiple_of(PAGE_SIZE as u64)
        );
        assert!(window.length > 0 && end <= 1 << ADDRESS_BITS);
        assert!(RAM.iter().all(|ram| end <= ram.start || ram.end <= window.physical), "memory is no device");
    }
    for region in &device.regions {
        let window = windows.get(usize::try_from(region.window).expect("a small number"));
        let end = u64::from(region.offset) + region.length;
        assert!(region.length == 0 || window.is_some_and(|window| end <= window.length), "{region:?}");
    }
}

impl Physical for DevicesEverywhere {
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
}

impl Ports for NoPorts {
    fn read_u8(&mut self, _: u16) -> u8 {
        0xff
    }

    fn read_u32(&mut self, _: u16) -> u32 {
        u32::MAX
    }

    fn write_u8(&mut self, _: u16, _: u8) {}

    fn write_u32(&mut self, _: u16, _: u32) {}
}

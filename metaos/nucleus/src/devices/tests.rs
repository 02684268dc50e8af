//! Discovery as a whole, and PCI; what can be tested by itself stands in the modules.
#![expect(clippy::cast_possible_truncation, reason = "random bits, and addresses below 4 GiB")]

extern crate std;

mod ioapic;
mod mock;
mod virtio_mmio;

use super::{FIRST_EVENT_VECTOR, Request, discover};
use abi::boot::{Device, MAX_DEVICES, region, transport};
use core::cell::RefCell;
use core::ops::Range;
use core::slice::from_ref;
use mock::{Function, Machine, View};
use std::vec::Vec;

const IO_APIC: u64 = 0xfec0_0000;
const SECOND_IO_APIC: u64 = 0xfec1_0000;
const MASKED: u32 = 1 << 16;
const RAM: Range<u64> = 0..0x800_0000;

/// Runs discovery with 128 MiB of memory.
fn run(machine: Machine, command_line: &str) -> (Vec<Device>, Machine) {
    run_with(machine, command_line, from_ref(&RAM))
}

fn run_with(machine: Machine, command_line: &str, ram: &[Range<u64>]) -> (Vec<Device>, Machine) {
    let machine = RefCell::new(machine);
    let request = Request {
        has_acpi: false,
        command_line: command_line.as_bytes(),
        ram,
        physical_end: 1 << 40,
        destination: 3,
    };
    let devices = discover(&mut View(&machine), &request).to_vec();
    (devices, machine.into_inner())
}

fn q35() -> Machine {
    let mut machine = Machine { has_ports: true, ..Machine::default() };
    machine.add(0, 0, Function::new(0x8086, 0x29c0));
    machine.add_io_apic(IO_APIC);
    machine
}

/// A microvm: without ports.
fn microvm() -> Machine {
    let mut machine = Machine::default();
    machine.add_io_apic(IO_APIC);
    machine.add_io_apic(SECOND_IO_APIC);
    machine
}

fn microvm_with_pci() -> Machine {
    let mut machine = microvm();
    machine.ecam = Some(0xe000_0000..0xf000_0000);
    machine.add(0, 0, Function::new(0x1b36, 0x0008));
    machine.add(0, 1, Function::network());
    machine
}

fn only(devices: &[Device]) -> Device {
    assert_eq!(devices.len(), 1);
    devices[0]
}

fn physical(device: &Device, index: usize) -> u64 {
    let region = device.regions[index];
    device.windows[region.window as usize].physical + u64::from(region.offset)
}

#[test]
fn a_device_without_addresses_gets_them_and_is_made_ready() {
    let mut machine = q35();
    machine.add(0, 1, Function::network());
    let (devices, machine) = run(machine, "");
    let device = only(&devices);
    let function = machine.function(0, 1);
    assert_eq!((device.transport, device.kind), (transport::VIRTIO_PCI, 1));
    assert_eq!((function.address(1), function.address(4)), (0xc000_0000, 0xc000_4000));
    assert_eq!(function.command(), 0x406, "memory and bus master on, INTx off");
    assert_eq!(physical(&device, region::COMMON), 0xc000_4000);
    assert_eq!(physical(&device, region::ISR), 0xc000_5000);
    assert_eq!(physical(&device, region::DEVICE), 0xc000_6000);
    assert_eq!(physical(&device, region::NOTIFY), 0xc000_7000);
    assert_eq!(device.notify_multiplier, 4);
    assert_eq!((device.first_event, device.event_count), (8, 4));
    assert_eq!(machine.memory[&0xc000_4014], 0, "reset");
    for entry in 0..4 {
        let at = 0xc000_0000 + 16 * u64::from(entry);
        let words = [0, 4, 8, 12].map(|word| machine.word(at + word));
        assert_eq!(words, [0xfee0_3000, 0, u32::from(FIRST_EVENT_VECTOR) + 8 + entry, 0]);
    }
}

#[test]
fn addresses_that_firmware_gave_are_kept() {
    let mut machine = q35();
    let mut function = Function::network();
    function.config[5] = 0xfebf_d000;
    function.config[8] |= 0x1234_0000;
    function.config[9] = 0x38;
    machine.add(0, 1, function);
    let (devices, machine) = run(machine, "");
    assert_eq!(physical(&only(&devices), region::COMMON), 0x38_1234_0000);
    assert_eq!(machine.function(0, 1).address(4), 0x38_1234_0000);
}

#[test]
fn where_firmware_gave_addresses_no_other_is_made_up() {
    let mut machine = q35();
    machine.add(0, 1, Function::network());
    machine.add(0, 2, Function::new(0x8086, 0x2922).bar(5, 0x1000, 0xc000_0000));
    let (devices, machine) = run(machine, "");
    assert_eq!(devices.len(), 0);
    assert_eq!(machine.function(0, 1).command(), 0x400, "the device stays off");
}

#[test]
fn addresses_keep_clear_of_memory_and_of_each_other() {
    let mut machine = q35();
    for device in 1..4 {
        machine.add(0, device, Function::network());
    }
    let ram = [0..0xd123_4000, 1 << 32..2 << 32];
    let (devices, machine) = run_with(machine, "", &ram);
    assert_eq!(devices.len(), 3);
    let mut ranges: Vec<_> = (1..4)
        .flat_map(|device| [(1, 0x1000), (4, 0x4000)].map(|(bar, size)| (device, bar, size)))
        .map(|(device, bar, size)| (machine.function(0, device).address(bar), size))
        .collect();
    ranges.sort_unstable();
    assert!(ranges[0].0 >= 0xd123_4000);
    assert!(ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    let full = from_ref(&(0..0xe000_0000));
    assert_eq!(run_with(machine, "", full).0.len(), 0);
}

#[test]
fn mapped_configuration_space_of_a_microvm_is_known_by_its_host_bridge() {
    assert_eq!(run(microvm_with_pci(), "").0.len(), 1);
    let mut other = microvm_with_pci();
    other.add(0, 0, Function::new(0x8086, 0x29c0));
    assert_eq!(run(other, "").0.len(), 0);
    // Memory that looks so is not taken for it.
    let ram = from_ref(&(0..0xf000_0000));
    assert_eq!(run_with(microvm_with_pci(), "", ram).0.len(), 0);
}

#[test]
fn events_are_shared_out_and_entries_without_one_are_masked() {
    let mut machine = q35();
    for device in 1..18 {
        let mut function = Function::new(0x1af4, 0x1042).bar(1, 0x2000, 0).wide_bar(4, 0x4000, 0);
        function.msix(9, 1, 0x1000);
        function.virtio(1, 4, 0, 0x38);
        function.virtio(2, 4, 0x1000, 0x1000);
        machine.add(0, device, function);
    }
    let (devices, machine) = run(machine, "");
    let counts: Vec<_> = devices.iter().map(|device| device.event_count).collect();
    assert_eq!(counts, [[4; 14].as_slice(), &[0; 3]].concat());
    assert_eq!(devices[13].first_event, 60);
    let table = machine.function(0, 1).address(1);
    let masks: Vec<_> = (0..9).map(|entry| machine.word(table + 16 * entry + 12)).collect();
    assert_eq!(masks, [0, 0, 0, 0, 1, 1, 1, 1, 1]);
}

#[test]
fn a_device_without_msix_is_polled() {
    let mut machine = q35();
    let mut function = Function::new(0x1af4, 0x1044).wide_bar(4, 0x4000, 0);
    function.virtio(1, 4, 0x10, 0x38);
    function.virtio(2, 4, 0x48, 0x8);
    machine.add(0, 1, function);
    let device = only(&run(machine, "").0);
    assert_eq!((device.kind, device.event_count), (4, 0));
    assert_eq!((device.regions[1].offset, device.regions[1].length), (0x48, 8));
    assert_eq!(device.regions[region::DEVICE].length, 0);
}

#[test]
fn a_transitional_device_is_taken_only_with_modern_capabilities() {
    let mut machine = q35();
    let mut legacy = Function::new(0x1af4, 0x1000);
    legacy.config[0x2c / 4] = 1 << 16;
    machine.add(0, 1, legacy);
    let mut transitional = Function::network();
    transitional.config[0] = 0x1000_1af4;
    transitional.config[4] = 1;
    transitional.config[0x2c / 4] = 1 << 16 | 0x1af4;
    machine.add(0, 2, transitional);
    machine.add(0, 3, Function::new(0x1af4, 0x1110));
    let (devices, _) = run(machine, "");
    assert_eq!(only(&devices).kind, 1);
}

/// A device that differs from a sound one by what `spoil` does.
fn spoiled(spoil: impl Fn(&mut Function)) -> usize {
    let mut machine = q35();
    let mut function = Function::network();
    spoil(&mut function);
    machine.add(0, 1, function);
    let (devices, machine) = run(machine, "");
    assert!(!devices.is_empty() || machine.function(0, 1).command() == 0x400);
    devices.len()
}

#[test]
fn a_device_whose_capabilities_do_not_fit_its_ranges_stays_off() {
    assert_eq!(spoiled(|_| {}), 1);
    // The common configuration is the list's head.
    let at = |function: &Function, field: usize| function.config[0x34 / 4] as usize / 4 + field;
    for (offset, length) in [(0x4000, 0x1000), (0xffff_f000, 0x1000), (0, u32::MAX), (0, 0x37), (0, 0)] {
        let spoil = |function: &mut Function| {
            function.config[at(function, 2)] = offset;
            function.config[at(function, 3)] = length;
        };
        assert_eq!(spoiled(spoil), 0, "{offset:#x} {length:#x}");
    }
    for bar in [0, 2, 5, 6, 255] {
        assert_eq!(spoiled(|function| function.config[at(function, 1)] = bar), 0, "register {bar}");
    }
    assert_eq!(spoiled(|function| function.config[1] = 0), 0, "no list");
}

#[test]
fn a_range_where_no_device_may_be_is_refused() {
    for (low, high) in [(0x40_0000, 0), (0xfec0_0000, 0), (0xfee0_0000, 0), (0, 0x100), (0xa_0000, 0)] {
        let spoil = |function: &mut Function| {
            function.config[5] = 0xfebf_0000;
            function.config[8] |= low;
            function.config[9] = high;
        };
        assert_eq!(spoiled(spoil), 0, "{high:#x} {low:#x}");
    }
}

#[test]
fn no_window_shares_a_page_with_the_table_of_messages() {
    for (table, pending) in
        [(0x4, 0x801), (0x1004, 0x801), (0x1, 0x3ffc), (0x3, 0x801), (0x7, 0x801), (0x1, 0x1001)]
    {
        let spoil = |function: &mut Function| {
            function.config[0x44 / 4] = table;
            function.config[0x48 / 4] = pending;
        };
        assert_eq!(spoiled(spoil), 0, "{table:#x} {pending:#x}");
    }
    assert_eq!(spoiled(|function| function.config[0x40 / 4] |= 0x7ff << 16), 0, "table beyond its range");
}

#[test]
fn a_range_smaller_than_a_page_is_not_shown_to_ring_3() {
    let mut machine = q35();
    let mut function = Function::new(0x1af4, 0x1044).bar(4, 0x800, 0);
    function.virtio(1, 4, 0x0, 0x38);
    function.virtio(2, 4, 0x48, 0x8);
    machine.add(0, 1, function);
    assert_eq!(run(machine, "").0.len(), 0);
}

#[test]
fn a_loop_of_capabilities_ends() {
    assert_eq!(spoiled(|function| function.config[0x40 / 4] |= 0x40 << 8), 1);
    assert_eq!(spoiled(|function| function.config[0x34 / 4] = 0xfc), 0);
}

#[test]
fn buses_behind_bridges_are_followed_once() {
    let mut machine = q35();
    let mut behind = Function::network();
    behind.config[5] = 0xfebf_d000;
    behind.config[8] |= 0xfeb0_0000;
    machine.add(0, 2, Function::bridge(1));
    machine.add(0, 3, Function::bridge(0));
    machine.add(1, 0, Function::bridge(1));
    machine.add(1, 1, Function::bridge(255));
    machine.add(255, 31, behind);
    machine.add(9, 0, Function::network());
    assert_eq!(run(machine, "").0.len(), 1);
    let mut machine = q35();
    machine.add(0, 2, Function::bridge(1));
    machine.add(1, 0, Function::network());
    let (devices, _) = run(machine, "");
    assert_eq!(devices.len(), 0, "no address behind a bridge");
}

#[test]
fn more_devices_than_fit_are_left_out() {
    let mut machine = q35();
    machine.add(0, 31, Function::bridge(1));
    for device in 1..31 {
        for bus in 0..2 {
            let mut function = Function::network();
            let address = 0xfd00_0000 | u32::from(bus) << 23 | u32::from(device) << 16;
            function.config[5] = address;
            function.config[8] |= address + 0x8000;
            machine.add(bus, device, function);
        }
    }
    let (devices, _) = run(machine, "");
    assert_eq!(devices.len(), MAX_DEVICES);
}

#[test]
fn random_devices_break_nothing() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..1000 {
        let mut machine = if random() % 2 == 0 { q35() } else { microvm_with_pci() };
        for device in 0..4 {
            let mut function = Function::network();
            for _ in 0..random() % 6 {
                let index = 4 + random() as usize % 40;
                function.config[index] ^= 1 << (random() % 32);
            }
            function.config[3] = (random() as u32 & 0x81) << 16;
            machine.add((random() % 3) as u8, device + 1, function);
        }
        let (devices, _) = run(machine, "virtio_mmio.device=4K@0xd0000000:5");
        for window in devices.iter().flat_map(|device| device.windows).filter(|window| window.length != 0) {
            assert!(window.physical.is_multiple_of(4096) && window.length.is_multiple_of(4096));
            assert!(window.physical >= 0x800_0000 && window.physical + window.length <= 1 << 40);
        }
        for device in devices {
            for region in device.regions {
                let window = device.windows[region.window as usize];
                assert!(u64::from(region.offset) + region.length <= window.length);
            }
        }
    }
}

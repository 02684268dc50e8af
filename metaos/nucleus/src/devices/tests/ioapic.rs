//! I/O APICs and their lines.

use super::mock::{Machine, View};
use super::{IO_APIC, MASKED, SECOND_IO_APIC, microvm, q35, run};
use crate::devices::config::Platform;
use crate::devices::ioapic::IoApics;
use core::cell::RefCell;

fn take_over(machine: Machine, platform: Platform) -> (IoApics, RefCell<Machine>) {
    let machine = RefCell::new(machine);
    (IoApics::new(&mut View(&machine), platform, 3), machine)
}

#[test]
fn a_line_is_routed_by_number() {
    let (io_apics, machine) = take_over(q35(), Platform::Pc);
    assert_eq!(io_apics.route(&mut View(&machine), 4, 0), Some(0));
    assert_eq!(io_apics.route(&mut View(&machine), 24, 1), None);
    assert_eq!(machine.borrow().io_apics[&IO_APIC][0x18..0x1a], [0x40, 3 << 24]);
}

#[test]
fn a_second_one_is_looked_for_on_a_microvm_only() {
    let (on_a_pc, machine) = take_over(microvm(), Platform::Pc);
    assert!(on_a_pc.find(23).is_some() && on_a_pc.find(24).is_none());
    assert_eq!(machine.borrow().io_apics[&SECOND_IO_APIC][0x10], 0, "left alone");
    let (on_a_microvm, _) = take_over(microvm(), Platform::Microvm);
    assert!(on_a_microvm.find(47).is_some() && on_a_microvm.find(48).is_none());
    assert!(take_over(Machine::default(), Platform::Microvm).0.find(4).is_none());
}

#[test]
fn every_pin_is_masked_until_a_line_is_routed_to_it() {
    let (_, machine) = run(microvm(), "");
    let serial = [3, 4];
    let first = &machine.io_apics[&IO_APIC];
    assert!((0..24).filter(|pin| !serial.contains(pin)).all(|pin| first[0x10 + 2 * pin] == MASKED));
    assert_eq!(serial.map(|pin| first[0x10 + 2 * pin]), [0x41, 0x40]);
    assert!((0..24).all(|pin| machine.io_apics[&SECOND_IO_APIC][0x10 + 2 * pin] == MASKED));
}

/// QEMU wires them so.
#[test]
fn the_first_line_and_the_third_share_a_pin_and_an_event() {
    let (io_apics, machine) = take_over(microvm(), Platform::Microvm);
    assert_eq!(io_apics.route(&mut View(&machine), 24, 8), Some(8));
    assert_eq!(io_apics.route(&mut View(&machine), 26, 9), Some(8));
    assert_eq!(io_apics.route(&mut View(&machine), 25, 10), Some(10));
    let registers = &machine.borrow().io_apics[&SECOND_IO_APIC];
    assert_eq!([0, 1, 2].map(|pin| registers[0x10 + 2 * pin]), [MASKED, 0x4a, 0x48]);
}

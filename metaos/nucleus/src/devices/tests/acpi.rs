//! ACPI tables, and the I/O APICs that they name.

extern crate std;

use super::mock::{Machine, View};
use super::{IO_APIC, microvm, q35, run};
use core::cell::RefCell;
use std::vec::Vec;

#[test]
fn a_table_that_is_not_sound_is_not_used() {
    type Spoil = fn(&mut Machine);
    let spoils: [Spoil; 6] = [
        |machine| machine.store(0xf_1009, &[1]),
        |machine| machine.store(0xf_1004, &u32::MAX.to_le_bytes()),
        |machine| machine.store(0xf_1004, &[0; 4]),
        |machine| machine.store(0xf_0144, &[35]),
        |machine| machine.store(0xf_0040, b"X"),
        |machine| machine.table(0xf_1000, b"APIC", &[0; 64]),
    ];
    for (index, spoil) in spoils.into_iter().enumerate() {
        let mut machine = microvm();
        spoil(&mut machine);
        let (found, _, _) = run(machine, "");
        assert!(found.io_apics.has_gsi(23), "{index}");
        assert!(!found.io_apics.has_gsi(24), "{index}");
    }
}

/// Puts an extended root pointer there that leads to `table`.
fn store_extended_root(machine: &mut Machine, table: u64) {
    let mut pointer = b"RSD PTR \0metaos\x02".to_vec();
    pointer.extend([0; 4]);
    pointer[8] = pointer.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    pointer.extend([36, 0, 0, 0]);
    pointer.extend(table.to_le_bytes());
    pointer.extend([0; 4]);
    pointer[32] = pointer.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    machine.store(0xf_0040, &pointer);
}

#[test]
fn an_extended_root_pointer_leads_to_wide_addresses() {
    let mut machine = microvm();
    let wide: Vec<u8> = [0xf_1000_u64, u64::MAX, 0].into_iter().flat_map(u64::to_le_bytes).collect();
    machine.table(0x7ff_0000, b"XSDT", &wide);
    store_extended_root(&mut machine, 0x7ff_0000);
    assert!(run(machine, "").0.io_apics.has_gsi(47));
}

#[test]
fn a_root_pointer_may_lead_anywhere() {
    for table in [0, 1, 0xf_ffff, (1 << 52) - 1, 1 << 52, u64::MAX] {
        let mut machine = microvm();
        store_extended_root(&mut machine, table);
        assert!(!run(machine, "").0.io_apics.has_gsi(24), "{table:#x}");
    }
}

#[test]
fn a_line_is_routed_by_number() {
    let (found, _, machine) = run(q35(), "");
    let machine = RefCell::new(machine);
    found.io_apics.route(&mut View(&machine), 4, 0x40);
    found.io_apics.route(&mut View(&machine), 24, 0x41);
    assert_eq!(machine.borrow().io_apics[&IO_APIC][0x18..0x1a], [0x40, 3 << 24]);
}

#[test]
fn an_io_apic_in_memory_is_not_written_to() {
    let mut machine = microvm();
    let mut madt = [0; 8].to_vec();
    madt.extend([1, 12, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0]);
    machine.table(0xf_1000, b"APIC", &madt);
    let before = machine.memory.clone();
    let (found, _, machine) = run(machine, "");
    assert!(!found.io_apics.has_gsi(0));
    assert_eq!(machine.memory, before);
}

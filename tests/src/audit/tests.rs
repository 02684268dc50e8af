//! The rules on a made-up machine: clean as it is, and each crime is found by its own rule alone.

mod machine;

use std::collections::BTreeSet;

use abi::layout::MAIN_STACK;
use abi::{PhysAddr, VirtAddr};

use super::*;

fn broken_rules(machine: &Snapshot) -> Vec<Rule> {
    let violations = audit(machine).unwrap().violations;
    violations.iter().map(|violation| violation.rule).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn a_machine_that_keeps_the_rules_passes() {
    assert_eq!(audit(&machine::clean()).unwrap().violations, []);
}

#[test]
fn each_crime_is_found_by_its_rules_and_no_other() {
    for crime in CRIMES {
        let mut machine = machine::clean();
        (crime.commit)(&mut machine);
        assert_eq!(broken_rules(&machine), crime.breaks, "{}", crime.name);
    }
}

#[test]
fn there_is_a_crime_for_every_rule() {
    let broken: BTreeSet<Rule> = CRIMES.iter().flat_map(|crime| crime.breaks).copied().collect();
    assert_eq!(broken.len(), Rule::CallsEnterTheNucleus as usize + 1);
    assert_eq!(broken.last(), Some(&Rule::CallsEnterTheNucleus));
}

#[test]
fn each_control_bit_counts_by_itself() {
    for (register, bits) in
        [(0, 0x8001_0025_u64), (1, 0x0175_1b24), (2, 0xd01), (3, 0x3000), (4, 0x203), (5, 0x4_7700)]
    {
        for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
            let mut machine = machine::clean();
            let Registers { cr0, cr4, efer, rflags, xcr0, call_mask, .. } = &mut machine.registers;
            *[cr0, cr4, efer, rflags, xcr0, call_mask][register] ^= 1 << bit;
            assert_eq!(audit(&machine).unwrap().violations.len(), 1, "register {register}, bit {bit}");
        }
    }
}

#[test]
fn rights_are_combined_over_all_levels() {
    let machine = machine::clean();
    let mut ram = machine.ram;
    let root = machine.registers.page_table_root();
    let place = PhysAddr(root.0 + (MAIN_STACK.0 >> 39) * 8);
    let entry = ram.quad_word(place).unwrap();
    ram.write(place, &(entry & !0b110 | 1 << 63).to_le_bytes());
    let rights = walk(root, &ram).unwrap().find(MAIN_STACK).unwrap().rights;
    assert_eq!(rights, Rights { user: false, writable: false, executable: false });
}

#[test]
fn large_pages_are_walked_and_read() {
    let mut ram = Ram(vec![0; 0x40_0000]);
    for (place, entry) in
        [(0x1000, 0x2007_u64), (0x2000, 0x3007), (0x3000 + 511 * 8, 0x20_1087), (0x2008, 0x4000_0087)]
    {
        ram.write(PhysAddr(place), &entry.to_le_bytes());
    }
    ram.write(PhysAddr(0x20_0123), b"text");
    let walk = walk(PhysAddr(0x1000), &ram).unwrap();
    let lengths: Vec<u64> = walk.mappings.iter().map(|mapping| mapping.length).collect();
    assert_eq!(lengths, [2 << 20, 1 << 30]);
    let page = walk.find(VirtAddr(0x3fff_ffff)).unwrap();
    // The attribute bit of a large page is no part of its address.
    assert_eq!((page.start, page.frame), (VirtAddr(0x3fe0_0000), PhysAddr(0x20_0000)));
    assert_eq!(walk.read(&ram, VirtAddr(0x3fe0_0123), 4).as_deref(), Some(b"text".as_slice()));
    assert_eq!(walk.read(&ram, VirtAddr(0x3fff_ffff), 2), None);
    assert_eq!(walk.find(VirtAddr(0x8000_0000)), None);
}

#[test]
fn tables_that_name_themselves_come_to_an_end() {
    let mut ram = Ram(vec![0; 0x2000]);
    for index in 0..512 {
        ram.write(PhysAddr(0x1000 + index * 8), &0x1007_u64.to_le_bytes());
    }
    assert!(matches!(walk(PhysAddr(0x1000), &ram), Err(WalkError::Endless)));
}

#[test]
fn a_table_outside_memory_is_an_error() {
    let mut ram = Ram(vec![0; 0x2000]);
    ram.write(PhysAddr(0x1000), &0x0008_0000_0000_0007_u64.to_le_bytes());
    let error = walk(PhysAddr(0x1000), &ram).unwrap_err().to_string();
    assert_eq!(error, "the table of level 3 for 0x0 lies at 0x8000000000000, outside memory");
}

const SHOWN: &str = include_str!("tests/registers.txt");

fn saved_registers() -> SavedCpu {
    let registers = [
        ("env.cr[3]", 0x1_1000),
        ("env.cr[4]", 0x35_0e20),
        ("env.efer", 0xd01),
        ("env.xcr0", 0x1f),
        ("env.lstar", 0xffff_ffff_8000_1234),
        ("env.fmask", 0x4_7700),
    ];
    SavedCpu(registers.map(|(name, value)| (name.to_owned(), value)).into())
}

#[test]
fn registers_are_read_as_qemu_shows_and_saves_them() {
    let registers = Registers::parse(SHOWN, &saved_registers()).unwrap();
    assert_eq!(
        registers,
        Registers {
            cr0: 0x8001_0033,
            cr3: 0x1_1000,
            cr4: 0x35_0e20,
            efer: 0xd01,
            rflags: 0x246,
            rsp: VirtAddr(0xffff_ffff_8024_49a8),
            task: DescriptorTable { base: VirtAddr(0xffff_ffff_8002_1060), limit: 0x67 },
            interrupts: DescriptorTable { base: VirtAddr(0xffff_ffff_8002_0050), limit: 0xfff },
            xcr0: 0x1f,
            call_entry: VirtAddr(0xffff_ffff_8000_1234),
            call_mask: 0x4_7700,
        }
    );
    assert!(registers::violations(&registers).is_empty());
}

#[test]
fn a_qemu_that_shows_or_saves_registers_otherwise_is_not_believed() {
    let error = |text: &str, saved: &SavedCpu| Registers::parse(text, saved).unwrap_err();
    assert_eq!(error("CR0=1", &saved_registers()), RegistersError::NotShown("CR3"));
    assert_eq!(error(SHOWN, &SavedCpu::default()), RegistersError::NotSaved("env.xcr0"));
    let mut saved = saved_registers();
    saved.0.insert("env.efer".to_owned(), 0);
    assert_eq!(error(SHOWN, &saved), RegistersError::NotTheSame("env.efer"));
}

#[test]
fn a_saved_cpu_is_read_by_its_own_description() {
    let description = concat!(
        r#"{"devices": [{"name": "cpu", "instance_id": 0, "version": 12, "fields": [{"name": "a", "size": 4}, "#,
        r#"{"name": "b", "array_len": 3, "size": 2}, {"name": "c", "size": 8}]}]}"#
    );
    let mut file =
        b"RAM and others\x04\0\0\0\x07\x03cpu\0\0\0\0\0\0\0\x0c0123456789\0\0\0\0\0\0\x01\x02~".to_vec();
    file.push(6);
    file.extend_from_slice(&u32::try_from(description.len()).unwrap().to_be_bytes());
    file.extend_from_slice(description.as_bytes());
    let saved = SavedCpu::parse(&file).unwrap();
    assert_eq!((saved.get("a"), saved.get("c")), (None, Some(0x102)));
    for length in 0..file.len() {
        assert!(SavedCpu::parse(&file[..length]).is_none(), "cut to {length} bytes");
    }
}

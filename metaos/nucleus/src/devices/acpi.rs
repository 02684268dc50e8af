//! The two facts wanted from ACPI: where PCI configuration space lies and which I/O APICs there are.
//!
//! RSDP -> XSDT or RSDT -> MCFG and MADT (ACPI 6.5, 5.2). Tables are taken byte by byte, as nothing in them is aligned,
//! and only after signature, length and checksum were found right.

use super::{bus::Physical, config::Ecam, ioapic::MAX_IO_APICS};
use abi::PhysAddr;
use heapless::Vec;

/// No table starts beyond; it is the limit of any CPU.
const END: u64 = 1 << 52;
/// Header of a table (5.2.6).
const HEADER_LENGTH: u64 = 36;
/// Start of the entries of both MADT (5.2.12) and MCFG (PCI Firmware 3.3, 4.1.2).
const ENTRIES: u64 = 44;
/// Longer tables are not believed.
const MAX_LENGTH: u64 = 0x1_0000;
/// MADT entry of an I/O APIC (5.2.12.3), and its length.
const IO_APIC: [u8; 2] = [1, 12];

/// What the tables said; empty on a machine without ACPI.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) is_present: bool,
    pub(super) ecam: Option<Ecam>,
    /// Address and first global system interrupt of each I/O APIC.
    pub(super) io_apics: Vec<(u64, u32), MAX_IO_APICS>,
}

impl Tables {
    /// Reads the tables that start at `rsdp`.
    pub(super) fn read(physical: &mut dyn Physical, rsdp: Option<PhysAddr>) -> Self {
        let mut tables = Self::default();
        let Some((root, width)) = rsdp.and_then(|at| root(physical, at.0)) else { return tables };
        let length = checked_length(physical, root, if width == 8 { b"XSDT" } else { b"RSDT" });
        for at in (root + HEADER_LENGTH..(root + length + 1).saturating_sub(width as u64)).step_by(width) {
            let table = read_u64(physical, at) & (u64::MAX >> (64 - 8 * width));
            tables.is_present = true;
            tables.read_madt(physical, table);
            tables.read_mcfg(physical, table);
        }
        tables
    }

    fn read_madt(&mut self, physical: &mut dyn Physical, table: u64) {
        let length = checked_length(physical, table, b"APIC");
        let mut at = ENTRIES;
        while at + 12 <= length {
            let head: [u8; 2] = bytes(physical, table + at);
            let address = read_u32(physical, table + at + 4);
            if head == IO_APIC && address != 0 {
                self.io_apics.push((u64::from(address), read_u32(physical, table + at + 8))).ok();
            }
            at += u64::from(head[1].max(2));
        }
    }

    /// Takes the first entry of segment 0; other segments need no reaching.
    fn read_mcfg(&mut self, physical: &mut dyn Physical, table: u64) {
        let length = checked_length(physical, table, b"MCFG");
        for at in (ENTRIES..length.saturating_sub(15)).step_by(16) {
            let base = read_u64(physical, table + at);
            if let ([0, 0, first_bus, last_bus], None) = (bytes(physical, table + at + 8), &self.ecam) {
                self.ecam = Ecam::new(base, first_bus..=last_bus);
            }
        }
    }
}

/// Reads the root pointer at `at` (5.2.5.3): address of the table of tables, and how many bytes each entry has: 8 in the
/// XSDT, 4 in the RSDT.
fn root(physical: &mut dyn Physical, at: u64) -> Option<(u64, usize)> {
    if at >= END || bytes(physical, at) != *b"RSD PTR " || !sums_to_zero(physical, at, 20) {
        return None;
    }
    let [revision] = bytes(physical, at + 15);
    let is_extended = revision >= 2 && sums_to_zero(physical, at, 36);
    let low = u64::from(read_u32(physical, at + 16));
    let (address, width) = if is_extended { (read_u64(physical, at + 24), 8) } else { (low, 4) };
    (address < END).then_some((address, width))
}

/// Returns the length of the table at `table`; 0 if that is not a sound one with this signature.
fn checked_length(physical: &mut dyn Physical, table: u64, signature: &[u8; 4]) -> u64 {
    if table >= END || bytes(physical, table) != *signature {
        return 0;
    }
    let length = u64::from(read_u32(physical, table + 4));
    let is_sound = (HEADER_LENGTH..=MAX_LENGTH).contains(&length) && sums_to_zero(physical, table, length);
    if is_sound { length } else { 0 }
}

fn sums_to_zero(physical: &mut dyn Physical, at: u64, length: u64) -> bool {
    (at..at + length).fold(0_u8, |sum, at| sum.wrapping_add(byte(physical, at))) == 0
}

fn read_u32(physical: &mut dyn Physical, at: u64) -> u32 {
    u32::from_le_bytes(bytes(physical, at))
}

fn read_u64(physical: &mut dyn Physical, at: u64) -> u64 {
    u64::from_le_bytes(bytes(physical, at))
}

fn bytes<const N: usize>(physical: &mut dyn Physical, at: u64) -> [u8; N] {
    let mut next = at..;
    [(); N].map(|()| next.next().map_or(u8::MAX, |at| byte(physical, at)))
}

fn byte(physical: &mut dyn Physical, at: u64) -> u8 {
    physical.read_u32(PhysAddr(at & !3)).to_le_bytes()[at as usize % 4]
}

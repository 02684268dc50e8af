//! Reads what the loader left in low memory, while the early tables still map it.
//!
//! The loader is trusted (it could have changed the image itself), but not to be free of mistakes: every length is
//! bounded, and nothing above 4 GiB is read.

use super::handoff::{Handoff, MAX_ENTRIES};
use abi::PhysAddr;
use core::ptr;

/// Numbers by which the boot code names the loaders.
pub(super) const PVH: u32 = 1;
pub(super) const MULTIBOOT2: u32 = 2;

/// First physical address that the early tables do not map.
const MAPPED_END: u64 = 4 << 30;
const PVH_MAGIC: u32 = 0x336e_c578;
/// Types of memory, the same with both loaders (ACPI 6.5, table 15.4): usable, and what firmware keeps from us, which
/// may be device space. All others are memory that something else lies in.
const USABLE: u32 = 1;
const RESERVED: u32 = 2;

/// Reads what a loader says at a physical address; nothing is handed over if it is none of ours.
pub(super) fn take(loader: u32, information: u64, handoff: &mut Handoff) {
    match loader {
        PVH if read_u32(information) == PVH_MAGIC => read_pvh(information, handoff),
        MULTIBOOT2 => read_multiboot2(information, handoff),
        _ => {}
    }
}

/// Reads `hvm_start_info` (Xen, `xen/include/public/arch-x86/hvm/start_info.h`).
fn read_pvh(info: u64, handoff: &mut Handoff) {
    let [modules, command_line, rsdp, map] = [16, 24, 32, 40].map(|field| read_u64(info + field));
    for module in entries(modules, 32, read_u32(info + 12)) {
        let (start, bytes) = (read_u64(module), read_u64(module + 8));
        handoff.reserved.add(start..start.saturating_add(bytes));
    }
    read_command_line(command_line, handoff);
    handoff.rsdp = (rsdp != 0).then_some(PhysAddr(rsdp));
    // The memory map came with version 1.
    if read_u32(info + 4) >= 1 {
        entries(map, 24, read_u32(info + 48)).for_each(|entry| read_memory(entry, handoff));
    }
}

/// Reads the tags of multiboot2 (multiboot2 specification 2.0, 3.6).
fn read_multiboot2(info: u64, handoff: &mut Handoff) {
    let end = info + u64::from(read_u32(info));
    // The ACPI root pointer stands in a tag and is read under the final tables.
    handoff.reserved.add(info..end);
    let mut tag = info + 8;
    for _ in 0..MAX_ENTRIES {
        let (kind, size) = (read_u32(tag), read_u32(tag + 4));
        if kind == 0 || size < 8 || tag + u64::from(size) > end {
            break;
        }
        match kind {
            1 => read_command_line(tag + 8, handoff),
            3 => handoff.reserved.add(u64::from(read_u32(tag + 8))..u64::from(read_u32(tag + 12))),
            6 => {
                let entry_size = read_u32(tag + 8).max(24);
                let count = size.saturating_sub(16) / entry_size;
                entries(tag + 16, entry_size, count).for_each(|entry| read_memory(entry, handoff));
            }
            // The tag holds a copy of the root pointer; the newer form follows the older one and wins.
            14 | 15 => handoff.rsdp = Some(PhysAddr(tag + 8)),
            _ => {}
        }
        tag += u64::from(size.next_multiple_of(8));
    }
}

/// Reads an entry of a memory map: start, bytes, type.
fn read_memory(entry: u64, handoff: &mut Handoff) {
    let (start, bytes, kind) = (read_u64(entry), read_u64(entry + 8), read_u32(entry + 16));
    let end = start.saturating_add(bytes);
    if kind == USABLE {
        handoff.free.add(start..end);
    }
    if kind != RESERVED {
        handoff.ram.add(start..end);
    }
}

/// Reads the zero-terminated command line.
fn read_command_line(start: u64, handoff: &mut Handoff) {
    for at in start..start.saturating_add(handoff.command_line.capacity() as u64) {
        let [byte] = read(at);
        if byte == 0 {
            break;
        }
        handoff.command_line.push(byte).ok();
    }
}

/// Returns the addresses of a list's entries.
fn entries(list: u64, size: u32, count: u32) -> impl Iterator<Item = u64> {
    (0..u64::from(count).min(MAX_ENTRIES as u64))
        .map(move |index| list.saturating_add(index * u64::from(size)))
}

fn read_u32(address: u64) -> u32 {
    u32::from_le_bytes(read(address))
}

fn read_u64(address: u64) -> u64 {
    u64::from_le_bytes(read(address))
}

/// Reads bytes at a physical address; zeros where the early tables map nothing.
fn read<const N: usize>(address: u64) -> [u8; N] {
    if address == 0 || address.checked_add(N as u64).is_none_or(|end| end > MAPPED_END) {
        return [0; N];
    }
    let from: *const [u8; N] = ptr::with_exposed_provenance(address as usize);
    // SAFETY: the early tables identity-map the low 4 GiB readable, and the range ends below that; bytes need no
    // alignment, and any are valid.
    unsafe { from.read() }
}

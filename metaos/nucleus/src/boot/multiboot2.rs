//! multiboot2 boot information (multiboot2 specification 2.0, 3.6).

use super::handoff::Handoff;
use super::memory_map::Range;
use super::reader::{read_u32, read_u64};
use abi::PhysAddr;

/// Number by which the boot code names this loader.
pub(super) const LOADER: u32 = 2;

const TAG_END: u32 = 0;
const TAG_COMMAND_LINE: u32 = 1;
const TAG_MODULE: u32 = 3;
const TAG_MEMORY_MAP: u32 = 6;
const TAG_ACPI_OLD: u32 = 14;
const TAG_ACPI_NEW: u32 = 15;
const AVAILABLE: u32 = 1;
const MAX_TAGS: usize = 256;
const MAX_ENTRIES: u64 = 256;

/// Reads the boot information at a physical address.
pub(super) fn read(info: u64, handoff: &mut Handoff) {
    let end = info + u64::from(read_u32(info));
    // The ACPI root pointer stands in a tag and is read under the final tables.
    handoff.reserve(info, end);
    let mut tag = info + 8;
    for _ in 0..MAX_TAGS {
        let (kind, size) = (read_u32(tag), u64::from(read_u32(tag + 4)));
        if kind == TAG_END || size < 8 || tag + size > end {
            break;
        }
        read_tag(handoff, kind, tag, size);
        tag += size.next_multiple_of(8);
    }
}

fn read_tag(handoff: &mut Handoff, kind: u32, tag: u64, size: u64) {
    match kind {
        TAG_COMMAND_LINE => handoff.take_command_line(tag + 8),
        TAG_MODULE => handoff.reserve(u64::from(read_u32(tag + 8)), u64::from(read_u32(tag + 12))),
        TAG_MEMORY_MAP => read_memory_map(handoff, tag, size),
        // The tag holds a copy of the root pointer; the newer form follows the older one and wins.
        TAG_ACPI_OLD | TAG_ACPI_NEW => handoff.rsdp = Some(PhysAddr(tag + 8)),
        _ => {}
    }
}

fn read_memory_map(handoff: &mut Handoff, tag: u64, size: u64) {
    let entry_size = u64::from(read_u32(tag + 8)).max(24);
    for index in 0..((size.saturating_sub(16)) / entry_size).min(MAX_ENTRIES) {
        let entry = tag + 16 + index * entry_size;
        let (start, bytes) = (read_u64(entry), read_u64(entry + 8));
        if read_u32(entry + 16) == AVAILABLE {
            handoff.memory.add(Range { start, end: start.saturating_add(bytes) });
        }
    }
}

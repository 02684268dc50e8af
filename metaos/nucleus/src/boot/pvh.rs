//! PVH boot information: `hvm_start_info` (Xen, `xen/include/public/arch-x86/hvm/start_info.h`).

use super::handoff::Handoff;
use super::memory_map::Range;
use super::reader::{read_u32, read_u64};
use abi::PhysAddr;

/// Number by which the boot code names this loader.
pub(super) const LOADER: u32 = 1;

const MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;
const MAX_ENTRIES: u64 = 256;

/// Reads the start information at a physical address. With a wrong magic, nothing is handed over.
pub(super) fn read(info: u64, handoff: &mut Handoff) {
    if read_u32(info) != MAGIC {
        return;
    }
    let (version, modules) = (read_u32(info + 4), u64::from(read_u32(info + 12)));
    let (module_list, command_line, rsdp) = (read_u64(info + 16), read_u64(info + 24), read_u64(info + 32));
    for index in 0..modules.min(MAX_ENTRIES) {
        let entry = module_list + 32 * index;
        let (start, bytes) = (read_u64(entry), read_u64(entry + 8));
        handoff.reserve(start, start.saturating_add(bytes));
    }
    if command_line != 0 {
        handoff.take_command_line(command_line);
    }
    if rsdp != 0 {
        handoff.rsdp = Some(PhysAddr(rsdp));
    }
    // The memory map came with version 1.
    if version >= 1 {
        let (map, entries) = (read_u64(info + 40), u64::from(read_u32(info + 48)));
        for entry in (0..entries.min(MAX_ENTRIES)).map(|index| map + 24 * index) {
            let (start, bytes) = (read_u64(entry), read_u64(entry + 8));
            if read_u32(entry + 16) == RAM {
                handoff.memory.add(Range { start, end: start.saturating_add(bytes) });
            }
        }
    }
}

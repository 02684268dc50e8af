//! Reads what the loader left in low memory, while the early tables still map it.
//!
//! The loader is trusted (it could have changed the image itself), but not to be free of mistakes: every length is
//! bounded, and nothing above 4 GiB is read.

use abi::{BootInfo, layout::BOOT_INFO_SIZE};
use core::{ops::Range, ptr};
use heapless::Vec;

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

/// Most bytes of command line: what fits behind the boot information.
const MAX_COMMAND_LINE: usize = BOOT_INFO_SIZE - size_of::<BootInfo>();
/// Most entries that are read of a list of the loader's; firmware gives a dozen or two, UEFI a few dozen.
const MAX_ENTRIES: usize = 256;

/// What the loader handed over, copied to memory of our own.
pub(crate) struct Handoff {
    /// Usable memory.
    pub(crate) free: Vec<Range<u64>, MAX_ENTRIES>,
    /// All memory, usable or not, as device discovery takes it.
    pub(crate) ram: Vec<Range<u64>, MAX_ENTRIES>,
    /// Whether there are ACPI tables. The nucleus does not read them.
    pub(crate) has_acpi: bool,
    /// The command line; what was too long is cut.
    pub(crate) command_line: Vec<u8, MAX_COMMAND_LINE>,
}

impl Handoff {
    /// Returns an empty hand-over.
    pub(super) const fn new() -> Self {
        Self { free: Vec::new(), ram: Vec::new(), has_acpi: false, command_line: Vec::new() }
    }
}

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
    let [command_line, rsdp, map] = [24, 32, 40].map(|field| read_u64(info + field));
    read_command_line(command_line, handoff);
    handoff.has_acpi = rsdp != 0;
    // The memory map came with version 1.
    if read_u32(info + 4) >= 1 {
        entries(map, 24, read_u32(info + 48)).for_each(|entry| read_memory(entry, handoff));
    }
}

/// Reads the tags of multiboot2 (multiboot2 specification 2.0, 3.6).
fn read_multiboot2(info: u64, handoff: &mut Handoff) {
    let end = info + u64::from(read_u32(info));
    let mut tag = info + 8;
    for _ in 0..MAX_ENTRIES {
        let (kind, size) = (read_u32(tag), read_u32(tag + 4));
        if kind == 0 || size < 8 || tag + u64::from(size) > end {
            break;
        }
        match kind {
            1 => read_command_line(tag + 8, handoff),
            6 => {
                let entry_size = read_u32(tag + 8).max(24);
                let count = size.saturating_sub(16) / entry_size;
                entries(tag + 16, entry_size, count).for_each(|entry| read_memory(entry, handoff));
            }
            _ => {}
        }
        tag += u64::from(size.next_multiple_of(8));
    }
}

/// Reads an entry of a memory map: start, bytes, type. There is room for those of one map.
fn read_memory(entry: u64, handoff: &mut Handoff) {
    let (start, bytes, kind) = (read_u64(entry), read_u64(entry + 8), read_u32(entry + 16));
    let range = start..start.saturating_add(bytes);
    if kind == USABLE {
        handoff.free.push(range.clone()).ok();
    }
    if kind != RESERVED {
        handoff.ram.push(range).ok();
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

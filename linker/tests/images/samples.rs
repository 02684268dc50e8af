//! A nucleus and a guest that link, as small as they can be; the bad files are these with one thing wrong.

use abi::hosted::Filter;
use abi::image::{ImageTable, MAGIC};
use abi::layout::{GUEST_IMAGE, NUCLEUS};
use abi::note::{NAME, TYPE_FILTER, TYPE_GUEST, TYPE_NUCLEUS};
use object::elf;

use crate::builder::{Elf, Segment, Symbol};

const PAGE: u64 = 0x1000;

/// The nucleus's code: its multiboot2 header, then its two entries.
pub(crate) const NUCLEUS_TEXT: u64 = NUCLEUS.0;
pub(crate) const IMAGE_TABLE: u64 = NUCLEUS.0 + PAGE;
pub(crate) const NUCLEUS_DATA: u64 = NUCLEUS.0 + 2 * PAGE;
pub(crate) const MULTIBOOT_HEADER: u64 = NUCLEUS_TEXT;
pub(crate) const PVH_ENTRY: u64 = NUCLEUS_TEXT + 40;
pub(crate) const MULTIBOOT_ENTRY: u64 = PVH_ENTRY + 4;

/// Bytes of the nucleus's code.
pub(crate) const NUCLEUS_CODE: usize = 46;

/// The guest's code: entry, gate, a function of the program.
pub(crate) const ENTRY: u64 = GUEST_IMAGE.0;
pub(crate) const GATE: u64 = ENTRY + 10;
pub(crate) const MAIN: u64 = ENTRY + 13;
pub(crate) const GUEST_RODATA: u64 = GUEST_IMAGE.0 + PAGE;
pub(crate) const GUEST_DATA: u64 = GUEST_IMAGE.0 + 2 * PAGE;

/// Bytes of a filter note before the room.
pub(crate) const FILTER_NOTE_HEADER: usize = 12 + NAME.len();

/// `call main; mov $0, %eax; syscall; ret; main: xor %eax, %eax; ret`.
const GUEST_TEXT: [u8; 16] = [0xe8, 8, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3, 0x31, 0xc0, 0xc3];

/// Returns a nucleus that links.
pub(crate) fn nucleus() -> Elf {
    nucleus_with_header(&multiboot_header())
}

/// Returns a nucleus with another multiboot2 header.
pub(crate) fn nucleus_with_header(header: &[u8]) -> Elf {
    let mut text = header.to_vec();
    text.resize(40, 0);
    text.extend_from_slice(&[0xfa, 0xf4, 0xeb, 0xfd]); // cli; hlt; jmp to the hlt
    text.extend_from_slice(&[0xeb, 0xfe]); // jmp to itself
    Elf {
        kind: elf::ET_EXEC,
        machine: elf::EM_X86_64,
        entry: PVH_ENTRY,
        segments: vec![
            Segment::text(NUCLEUS_TEXT, &text),
            Segment::read_only(IMAGE_TABLE, &image_table()),
            Segment::data(NUCLEUS_DATA, b"nucleus", 0x2000),
        ],
        note: nucleus_note(abi::VERSION, &nucleus_addresses()),
        other_headers: vec![(elf::PT_GNU_STACK, elf::PF_R.with(elf::PF_W), 0)],
        alignment: 16,
        symbols: vec![
            Symbol { name: "pvh_start", address: PVH_ENTRY, length: 4 },
            Symbol { name: "multiboot_start", address: MULTIBOOT_ENTRY, length: 2 },
        ],
    }
}

/// Returns a guest that links.
pub(crate) fn guest() -> Elf {
    guest_with_main(&[])
}

/// Returns a guest whose `main` starts with `code`.
pub(crate) fn guest_with_main(code: &[u8]) -> Elf {
    let mut text = GUEST_TEXT[..13].to_vec();
    text.extend_from_slice(code);
    text.extend_from_slice(&GUEST_TEXT[13..]);
    Elf {
        kind: elf::ET_EXEC,
        machine: elf::EM_X86_64,
        entry: ENTRY,
        segments: vec![
            Segment::text(ENTRY, &text),
            Segment::read_only(GUEST_RODATA, b"a constant of hello"),
            Segment::data(GUEST_DATA, b"a variable", 0x3000),
        ],
        note: guest_note(abi::VERSION, [ENTRY, GATE]),
        other_headers: Vec::new(),
        alignment: 16,
        symbols: vec![
            Symbol { name: "_start", address: ENTRY, length: 10 },
            Symbol { name: "_ZN15metaos_services4gate17h0123456789abcdefE", address: GATE, length: 3 },
            Symbol {
                name: "_ZN5hello4main17h0123456789abcdefE",
                address: MAIN,
                length: code.len() as u64 + 3,
            },
            Symbol { name: "_ZN12metaos_libos4TEXT17h0123456789abcdefE", address: GUEST_RODATA, length: 8 },
        ],
    }
}

/// Returns a guest that has room for a filter: the note takes the place of its constants.
pub(crate) fn guest_with_room() -> Elf {
    guest_with_filter_note(&filter_note(abi::VERSION, size_of::<Filter>()))
}

/// Returns a guest whose constants are these notes.
pub(crate) fn guest_with_filter_note(notes: &[u8]) -> Elf {
    let mut guest = guest();
    guest.segments[1] = Segment { section: ".note.room", ..Segment::read_only(GUEST_RODATA, notes) };
    guest
}

/// A note with room for a filter: as many bytes as said, the first of which are the version.
pub(crate) fn filter_note(version: u32, length: usize) -> Vec<u8> {
    let mut note = [8, u32::try_from(length).unwrap(), TYPE_FILTER].map(u32::to_le_bytes).concat();
    note.extend_from_slice(NAME);
    note.extend_from_slice(&version.to_le_bytes());
    note.resize(FILTER_NOTE_HEADER + length, 0);
    note
}

/// The addresses in a nucleus's note, in its order.
pub(crate) fn nucleus_addresses() -> [u64; 4] {
    [PVH_ENTRY, MULTIBOOT_ENTRY, MULTIBOOT_HEADER, IMAGE_TABLE]
}

pub(crate) fn nucleus_note(version: u32, addresses: &[u64]) -> Vec<u8> {
    note(TYPE_NUCLEUS, version, addresses)
}

pub(crate) fn guest_note(version: u32, addresses: [u64; 2]) -> Vec<u8> {
    note(TYPE_GUEST, version, &addresses)
}

fn note(kind: u32, version: u32, addresses: &[u64]) -> Vec<u8> {
    let description_bytes = u32::try_from(8 + addresses.len() * 8).unwrap();
    let mut note = Vec::new();
    for field in [8, description_bytes, kind] {
        note.extend_from_slice(&field.to_le_bytes());
    }
    note.extend_from_slice(NAME);
    note.extend_from_slice(&version.to_le_bytes());
    note.extend_from_slice(&0_u32.to_le_bytes());
    for address in addresses {
        note.extend_from_slice(&address.to_le_bytes());
    }
    note
}

/// An image table as it stands in an unlinked nucleus.
fn image_table() -> Vec<u8> {
    let mut table = vec![0; size_of::<ImageTable>()];
    table[..8].copy_from_slice(&MAGIC.to_le_bytes());
    table[8..12].copy_from_slice(&abi::VERSION.to_le_bytes());
    table
}

/// A multiboot2 header with an entry-address tag: 40 bytes.
pub(crate) fn multiboot_header() -> Vec<u8> {
    multiboot_header_of(&[&[3, 0, 12, 0, 0, 0], &[0, 0, 8, 0]])
}

/// A multiboot2 header of the tags whose first halfwords are given: type, flags, size, first payload.
pub(crate) fn multiboot_header_of(tags: &[&[u16]]) -> Vec<u8> {
    const MAGIC: u32 = 0xe852_50d6;

    let mut payload = Vec::new();
    for tag in tags {
        payload.extend(tag.iter().flat_map(|field| field.to_le_bytes()));
        payload.resize(payload.len().next_multiple_of(8), 0);
    }
    let length = u32::try_from(16 + payload.len()).unwrap();
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(length);
    let mut header: Vec<u8> = [MAGIC, 0, length, checksum].into_iter().flat_map(u32::to_le_bytes).collect();
    header.extend(payload);
    header
}

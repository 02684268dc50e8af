//! What a file says of itself and does not hold.

use super::{Case, bad_guest, bad_nucleus, changed, patched};
use crate::builder::Segment;
use crate::samples::{self, filter_note, guest, guest_with_filter_note, nucleus, nucleus_with_header};
use abi::hosted::Filter;

/// Notes that are missing or wrong, and addresses in them that are.
pub(super) fn notes() -> Vec<Case> {
    let with_note = |note: Vec<u8>| changed(guest(), |elf| elf.note = note);
    let mut damaged = samples::guest_note(abi::VERSION, [samples::ENTRY, samples::GATE]);
    damaged[4..8].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    let mut short = samples::guest_note(abi::VERSION, [samples::ENTRY, samples::GATE]);
    short[4..8].copy_from_slice(&16_u32.to_le_bytes());
    vec![
        bad_guest(
            "no-note.elf",
            with_note(Vec::new()),
            "has no metaos note of a guest; link it with metaos-entry and its linker script",
        ),
        bad_nucleus(
            "no-note-nucleus.elf",
            changed(nucleus(), |elf| elf.note.clear()),
            "has no metaos note of a nucleus; pass the executable of metaos-nucleus",
        ),
        bad_guest(
            "nucleus-as-guest.elf",
            nucleus().build(),
            "is a nucleus; pass nucleus and guest the other way round",
        ),
        bad_nucleus(
            "guest-as-nucleus.elf",
            guest().build(),
            "is a guest; pass nucleus and guest the other way round",
        ),
        bad_guest(
            "other-version.elf",
            with_note(samples::guest_note(77, [samples::ENTRY, samples::GATE])),
            "has contract version 77, the linker has 1; build both from the same sources",
        ),
        bad_nucleus(
            "other-version-nucleus.elf",
            changed(nucleus(), |elf| elf.note = samples::nucleus_note(77, &samples::nucleus_addresses())),
            "has contract version 77, the linker has 1; build both from the same sources",
        ),
        bad_guest(
            "short-note.elf",
            with_note(short),
            "metaos note: is cut off; the file is damaged, build it again",
        ),
        bad_guest(
            "damaged-note.elf",
            with_note(damaged),
            "notes: Invalid ELF note descsz; the file is damaged, build it again",
        ),
        bad_guest(
            "entry-in-data.elf",
            with_note(samples::guest_note(abi::VERSION, [samples::GUEST_DATA, samples::GATE])),
            "entry 0x600000002000 is not in an executable segment; check its linker script",
        ),
        bad_guest(
            "elf-entry-nowhere.elf",
            changed(guest(), |elf| elf.entry = 0),
            "ELF entry 0x0 is not in an executable segment; check its linker script",
        ),
        bad_guest(
            "gate-in-data.elf",
            with_note(samples::guest_note(abi::VERSION, [samples::ENTRY, samples::GUEST_DATA])),
            "gate 0x600000002000 is not in an executable segment; check its linker script",
        ),
        bad_guest(
            "gate-elsewhere.elf",
            with_note(samples::guest_note(abi::VERSION, [samples::ENTRY, samples::GATE + 1])),
            "gate 0x60000000000b is not a syscall instruction; let the note name that instruction",
        ),
    ]
}

/// Rooms for a filter that cannot be used.
pub(super) fn filters() -> Vec<Case> {
    const ROOM: usize = size_of::<Filter>();

    let with_room = |notes: &[u8]| guest_with_filter_note(notes);
    let good = filter_note(abi::VERSION, ROOM);
    let mut beyond = with_room(&good);
    beyond.segments[1].bytes.truncate(ROOM);
    let mut writable = with_room(&good);
    let room = Segment { section: ".note.room", ..Segment::data(samples::GUEST_DATA, &good, 0) };
    writable.segments[1].section = ".rodata";
    writable.segments[2] = room;
    let mut twice = with_room(&[good.clone(), good.clone()].concat());
    twice.segments[2].address += 0x1000;
    vec![
        bad_guest(
            "filter-cut.elf",
            with_room(&filter_note(abi::VERSION, ROOM - 8)).build(),
            "filter note: is cut off; the file is damaged, build it again",
        ),
        bad_guest(
            "filter-empty.elf",
            with_room(&filter_note(abi::VERSION, 4)[..20]).build(),
            "notes: Invalid ELF note descsz; the file is damaged, build it again",
        ),
        bad_guest(
            "filter-beyond-section.elf",
            beyond.build(),
            "notes: Invalid ELF note descsz; the file is damaged, build it again",
        ),
        bad_guest(
            "filter-other-version.elf",
            with_room(&filter_note(77, ROOM)).build(),
            "has contract version 77, the linker has 1; build both from the same sources",
        ),
        bad_guest(
            "filter-not-loaded.elf",
            changed(guest(), |elf| elf.note.extend_from_slice(&good)),
            "room for the filter of Linux system calls is not in a loaded segment; check its linker script",
        ),
        bad_guest(
            "filter-writable.elf",
            writable.build(),
            "room for the filter of Linux system calls can be written by the guest; check its linker script",
        ),
        bad_guest(
            "filter-twice.elf",
            twice.build(),
            "room for the filter of Linux system calls is there twice; check its linker script",
        ),
    ]
}

/// A nucleus whose note names things that are not there.
pub(super) fn nuclei() -> Vec<Case> {
    const LAST_OF_PAGE: u64 = samples::IMAGE_TABLE + 0xff0;

    let with_address = |index: usize, address: u64| {
        let mut addresses = samples::nucleus_addresses();
        addresses[index] = address;
        changed(nucleus(), |elf| elf.note = samples::nucleus_note(abi::VERSION, &addresses))
    };
    let with_header = |header: &[u8]| nucleus_with_header(header).build();
    vec![
        bad_nucleus(
            "entry-in-data-nucleus.elf",
            with_address(0, samples::NUCLEUS_DATA),
            "PVH entry 0xffffffff80002000 is not in an executable segment; check its linker script",
        ),
        bad_nucleus(
            "image-table-missing.elf",
            with_address(3, samples::NUCLEUS_DATA),
            "has no image table of version 1 at 0xffffffff80002000; let its note name ImageTable::unlinked()",
        ),
        bad_nucleus(
            "image-table-cut.elf",
            changed(nucleus(), |elf| {
                elf.segments[1].address = LAST_OF_PAGE;
                elf.segments[1].bytes.truncate(16);
                let [pvh, multiboot, header, _] = samples::nucleus_addresses();
                elf.note = samples::nucleus_note(abi::VERSION, &[pvh, multiboot, header, LAST_OF_PAGE]);
            }),
            "has no image table of version 1 at 0xffffffff80001ff0; let its note name ImageTable::unlinked()",
        ),
        bad_nucleus(
            "multiboot-header-missing.elf",
            with_address(2, samples::NUCLEUS_DATA + 0x1800),
            "multiboot2 header at 0xffffffff80003800 is not in the file; check the nucleus's boot code",
        ),
        bad_nucleus(
            "multiboot-header-elsewhere.elf",
            with_address(2, samples::IMAGE_TABLE),
            "multiboot2 header at 0xffffffff80001000 does not start with the magic number; \
             check the nucleus's boot code",
        ),
        bad_nucleus(
            "multiboot-checksum.elf",
            with_header(&patched(samples::multiboot_header(), 12, &[0; 4])),
            "multiboot2 header at 0xffffffff80000000 has a wrong checksum; check the nucleus's boot code",
        ),
        bad_nucleus(
            "multiboot-no-entry-tag.elf",
            with_header(&samples::multiboot_header_of(&[&[0, 0, 8, 0]])),
            "multiboot2 header at 0xffffffff80000000 has no entry-address tag; check the nucleus's boot code",
        ),
        bad_nucleus(
            "multiboot-no-end-tag.elf",
            with_header(&samples::multiboot_header_of(&[&[6, 0, 8, 0]])),
            "multiboot2 header at 0xffffffff80000000 has no end tag; check the nucleus's boot code",
        ),
        bad_nucleus(
            "multiboot-endless-tag.elf",
            with_header(&samples::multiboot_header_of(&[&[6, 0, 0, 0]])),
            "multiboot2 header at 0xffffffff80000000 has a tag that is too short; check the nucleus's boot code",
        ),
    ]
}

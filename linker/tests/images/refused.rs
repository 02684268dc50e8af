//! One file for every way to be refused, with the message. The files are kept in `tests/data` of the workspace.

use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END};
use metaos_linker::Role;
use object::elf;

use crate::builder::{Elf, Segment};
use crate::samples::{self, guest, guest_with_main, nucleus, nucleus_with_header};

/// A bad file.
pub(crate) struct Case {
    pub(crate) file: &'static str,
    pub(crate) role: Role,
    pub(crate) bytes: Vec<u8>,
    /// The message after the file's name.
    pub(crate) message: &'static str,
}

/// Returns all bad files.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(shapes());
    cases.extend(programs());
    cases.extend(placements());
    cases.extend(notes());
    cases.extend(instructions());
    cases.extend(nuclei());
    cases
}

fn bad_guest(file: &'static str, bytes: Vec<u8>, message: &'static str) -> Case {
    Case { file, role: Role::Guest, bytes, message }
}

fn bad_nucleus(file: &'static str, bytes: Vec<u8>, message: &'static str) -> Case {
    Case { file, role: Role::Nucleus, bytes, message }
}

/// Builds an executable after changing it.
fn changed(mut elf: Elf, change: impl FnOnce(&mut Elf)) -> Vec<u8> {
    change(&mut elf);
    elf.build()
}

/// Overwrites bytes of a built file.
fn patched(mut bytes: Vec<u8>, offset: usize, patch: &[u8]) -> Vec<u8> {
    bytes[offset..offset + patch.len()].copy_from_slice(patch);
    bytes
}

fn cut(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.truncate(length);
    bytes
}

/// Files that are not whole or not ELF.
fn shapes() -> Vec<Case> {
    const PROGRAM_HEADERS: usize = 64;
    const FILE_SIZE_FIELD: usize = 32;
    let whole = guest().build();
    let section_headers = whole.len() - 7 * 64;
    vec![
        bad_guest("empty.elf", Vec::new(), "not an ELF file; pass the executable that cargo built"),
        bad_guest(
            "script.elf",
            b"#!/bin/sh\nexec true\n".to_vec(),
            "not an ELF file; pass the executable that cargo built",
        ),
        bad_guest("cut-magic.elf", cut(whole.clone(), 3), "not an ELF file; pass the executable that cargo built"),
        bad_guest(
            "cut-header.elf",
            cut(whole.clone(), 40),
            "file header: is cut off; the file is damaged, build it again",
        ),
        bad_guest(
            "cut-program-headers.elf",
            cut(whole.clone(), 100),
            "program headers: Invalid ELF program header size or alignment; the file is damaged, build it again",
        ),
        bad_guest(
            "cut-section-headers.elf",
            cut(whole.clone(), section_headers + 100),
            "section headers: Invalid ELF section header offset/size/alignment; \
             the file is damaged, build it again",
        ),
        bad_guest(
            "segment-outside-file.elf",
            patched(whole.clone(), PROGRAM_HEADERS + FILE_SIZE_FIELD, &0x7_0000_u64.to_le_bytes()),
            "segment 0 (.text): lies outside the file; the file is damaged, build it again",
        ),
        bad_guest(
            "larger-in-file.elf",
            changed(guest(), |elf| elf.segments[2].zeroed = -4),
            "segment 2 (.data): is larger in the file than in memory; the file is damaged, build it again",
        ),
        bad_guest(
            "elf32.elf",
            patched(whole.clone(), 4, &[1]),
            "not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu",
        ),
        bad_guest(
            "big-endian.elf",
            patched(whole, 5, &[2]),
            "not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu",
        ),
        bad_guest(
            "aarch64.elf",
            changed(guest(), |elf| elf.machine = elf::EM_AARCH64),
            "not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu",
        ),
    ]
}

/// Whole ELF files that are not the kind of program that an image can hold.
fn programs() -> Vec<Case> {
    let with_header = |kind, flags| changed(guest(), |elf| elf.other_headers.push((kind, flags, 16)));
    vec![
        bad_guest(
            "object.elf",
            changed(guest(), |elf| elf.kind = elf::ET_REL),
            "not an executable (ELF type 1); pass the linked program",
        ),
        bad_guest(
            "position-independent.elf",
            changed(guest(), |elf| elf.kind = elf::ET_DYN),
            "has position-independent code (ET_DYN); link it with -static -no-pie",
        ),
        bad_guest(
            "interpreter.elf",
            with_header(elf::PT_INTERP, elf::PF_R),
            "has a dynamic loader (PT_INTERP); link it with -static -no-pie",
        ),
        bad_guest(
            "dynamic.elf",
            with_header(elf::PT_DYNAMIC, elf::PF_R),
            "has a dynamic section (PT_DYNAMIC); link it with -static -no-pie",
        ),
        bad_guest(
            "thread-local.elf",
            with_header(elf::PT_TLS, elf::PF_R),
            "segment 3 is thread-local storage; drop `thread_local` and crates that need std",
        ),
        bad_guest(
            "executable-stack.elf",
            with_header(elf::PT_GNU_STACK, elf::PF_R.with(elf::PF_W).with(elf::PF_X)),
            "the stack (PT_GNU_STACK) is writable and executable; give code and data segments of their own",
        ),
        bad_guest(
            "writable-text.elf",
            changed(guest(), |elf| elf.segments[0].flags = elf::PF_R.with(elf::PF_W).with(elf::PF_X)),
            "segment 0 (.text) is writable and executable; give code and data segments of their own",
        ),
        bad_guest(
            "executable-data-section.elf",
            changed(guest(), |elf| {
                elf.segments[2].section_flags = elf.segments[2].section_flags.with(elf::SHF_EXECINSTR);
            }),
            "section .data is writable and executable; give code and data segments of their own",
        ),
        bad_nucleus(
            "writable-text-nucleus.elf",
            changed(nucleus(), |elf| elf.segments[0].flags = elf::PF_R.with(elf::PF_W).with(elf::PF_X)),
            "segment 0 (.text) is writable and executable; give code and data segments of their own",
        ),
        bad_guest(
            "unreadable.elf",
            changed(guest(), |elf| elf.segments[2].flags = elf::PF_W),
            "segment 2 (.data) is not readable; set PF_R in the linker script",
        ),
        bad_guest(
            "no-segments.elf",
            changed(guest(), |elf| elf.segments.iter_mut().for_each(|segment| segment.bytes.clear())),
            "segment 2 (.data) at 0x600000002000, 0x3000 bytes, is not a segment",
        ),
        bad_guest(
            "stripped.elf",
            changed(guest(), |elf| elf.symbols.clear()),
            "has no symbol table; link it without stripping (strip = \"none\")",
        ),
    ]
}

/// Segments in places where they may not be.
fn placements() -> Vec<Case> {
    let moved = |address: u64| changed(guest(), |elf| elf.segments[2].address = address);
    let many = |count: u64| {
        changed(guest(), |elf| {
            for index in 3..count {
                elf.segments.push(Segment::read_only(samples::GUEST_DATA + 0x1000 * (2 + index), b"x"));
            }
        })
    };
    vec![
        bad_guest(
            "below-range.elf",
            moved(0x40_0000),
            "segment 2 (.data) at 0x400000, 0x300a bytes, is not within 0x600000000000..0x620000000000; \
             set its address in the linker script",
        ),
        bad_guest(
            "beyond-range.elf",
            moved(GUEST_IMAGE_END.0 - 0x1000),
            "segment 2 (.data) at 0x61fffffff000, 0x300a bytes, is not within 0x600000000000..0x620000000000; \
             set its address in the linker script",
        ),
        bad_guest(
            "over-the-nucleus.elf",
            moved(samples::NUCLEUS_DATA),
            "segment 2 (.data) at 0xffffffff80002000, 0x300a bytes, is not within \
             0x600000000000..0x620000000000; set its address in the linker script",
        ),
        bad_guest(
            "wraps-around.elf",
            moved(u64::MAX - 0x10),
            "segment 2 (.data) at 0xffffffffffffffef, 0x300a bytes, is not within \
             0x600000000000..0x620000000000; set its address in the linker script",
        ),
        bad_nucleus(
            "nucleus-in-lower-half.elf",
            changed(nucleus(), |elf| elf.segments[2].address = GUEST_IMAGE.0),
            "segment 2 (.data) at 0x600000000000, 0x2007 bytes, is not within \
             0xffffffff80000000..0xffffffff80200000; set its address in the linker script",
        ),
        bad_guest(
            "overlap.elf",
            changed(guest(), |elf| elf.segments[1].zeroed = 0x2000),
            "segment 1 (.rodata) and segment 2 (.data) share page 0x600000002000; align segments to 4096 bytes",
        ),
        bad_guest(
            "shared-page.elf",
            moved(samples::GUEST_RODATA + 0x800),
            "segment 1 (.rodata) and segment 2 (.data) share page 0x600000001000; align segments to 4096 bytes",
        ),
        bad_guest(
            "many-segments.elf",
            many(25),
            "brings the image to 25 segments of at most 24; merge sections in the linker script",
        ),
        bad_guest(
            "many-segments-together.elf",
            many(22),
            "brings the image to 25 segments of at most 24; merge sections in the linker script",
        ),
        bad_guest(
            "huge.elf",
            changed(guest(), |elf| elf.segments[2].zeroed = 1 << 30),
            "needs 0x40008000 bytes of image memory; make its static data smaller",
        ),
    ]
}

/// Notes that are missing or wrong, and addresses in them that are.
fn notes() -> Vec<Case> {
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

/// Machine code that may not be there.
fn instructions() -> Vec<Case> {
    let main = |file, code: &[u8], message| bad_guest(file, guest_with_main(code).build(), message);
    let mut nucleus_with_avx = nucleus();
    nucleus_with_avx.segments[0].bytes.extend_from_slice(&[0xc5, 0xfd, 0xef, 0xc0]);
    let mut hidden = guest();
    hidden.segments[0].bytes.extend_from_slice(&[0x0f, 0x0b, 0x06, 0xf4]); // ud2, no instruction, hlt
    vec![
        main(
            "halt.elf",
            &[0xf4],
            "instruction `hlt` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "port-write.elf",
            &[0xb0, 0x00, 0xe6, 0xf4],
            "instruction `out` at 0x60000000000f in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "page-table-switch.elf",
            &[0x0f, 0x22, 0xd8],
            "instruction `mov` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "descriptor-table-read.elf",
            &[0x0f, 0x01, 0x44, 0x24, 0xf0],
            "instruction `sgdt` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "protection-keys.elf",
            &[0x0f, 0x01, 0xef],
            "instruction `wrpkru` at 0x60000000000d in hello::main, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        main(
            "second-syscall.elf",
            &[0x0f, 0x05],
            "instruction `syscall` at 0x60000000000d in hello::main, segment 0 (.text), enters ring 0 beside \
             the gate; call through the gate",
        ),
        main(
            "interrupt-call.elf",
            &[0xcd, 0x80],
            "instruction `int` at 0x60000000000d in hello::main, segment 0 (.text), enters ring 0 beside \
             the gate; call through the gate",
        ),
        main(
            "avx.elf",
            &[0xc5, 0xf8, 0x28, 0xc1],
            "instruction `vmovaps` at 0x60000000000d in hello::main, segment 0 (.text), is VEX-coded; \
             build without target features and target-cpu, for plain x86-64",
        ),
        main(
            "avx512.elf",
            &[0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1],
            "instruction `vmovaps` at 0x60000000000d in hello::main, segment 0 (.text), is VEX-coded; \
             build without target features and target-cpu, for plain x86-64",
        ),
        bad_guest(
            "hidden-halt.elf",
            hidden.build(),
            "instruction `hlt` at 0x600000000013, segment 0 (.text), is privileged; \
             a guest runs in ring 3, ask the machine by its calls",
        ),
        bad_nucleus(
            "avx-nucleus.elf",
            nucleus_with_avx.build(),
            "instruction `vpxor` at 0xffffffff8000002e, segment 0 (.text), is VEX-coded; \
             build without target features and target-cpu, for plain x86-64",
        ),
    ]
}

/// A nucleus whose note names things that are not there.
fn nuclei() -> Vec<Case> {
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
            changed(nucleus(), |elf| elf.segments[1].bytes.truncate(32)),
            "has no image table of version 1 at 0xffffffff80001000; let its note name ImageTable::unlinked()",
        ),
        bad_nucleus(
            "multiboot-header-missing.elf",
            with_address(2, samples::NUCLEUS_DATA + 0x1000),
            "multiboot2 header at 0xffffffff80003000 is not in the file; check the nucleus's boot code",
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

//! Writes the image: file header, program headers, notes, the nucleus's segments close together, then the guest's at page
//! boundaries.
//!
//! The same file runs on a machine and as a Linux process. Boot loaders copy to the physical addresses and enter by
//! the PVH note or the multiboot2 header; Linux maps page by page to the virtual addresses and enters at the file's
//! entry, which is the guest's. So file offsets and virtual addresses agree modulo the page size, and the program
//! headers of the nucleus name low virtual addresses: those that it is linked for are none of a process, and a process
//! unmaps what lies there before it does anything else. They are chosen to agree with the file, and nobody but Linux
//! looks at them. There are no sections.

use abi::image::{MAX_SEGMENTS, OWNER_NUCLEUS};
use abi::layout::{LINUX_PROGRAM, LOAD_DIRECT, NUCLEUS, NUCLEUS_END};
use abi::note::{NAME, XEN_NAME, XEN_PHYS32_ENTRY};
use abi::{Access, PAGE_SIZE};
use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, Writer};

use crate::error::Refusal;
use crate::layout::{Layout, Placed};
use crate::report::{Contents, NOTE_TYPE};

const PAGE: u64 = PAGE_SIZE as u64;
/// Program headers beside the segments': the stack and two notes.
const OTHER_HEADERS: u32 = 3;
const NOTE_ALIGNMENT: u64 = 4;
/// Of the nucleus's segments in the file. GRUB looks for its header at every eighth byte (multiboot2 specification,
/// 3.1.1).
const NUCLEUS_ALIGNMENT: u64 = 16;

const _: () = assert!(
    LOAD_DIRECT + (NUCLEUS_END.0 - NUCLEUS.0) + MAX_SEGMENTS as u64 * PAGE <= LINUX_PROGRAM.0,
    "a process unmaps all of the nucleus with what lies below programs"
);

/// The first segment starts at this file offset at the latest: headers and notes fill less than a page (the names in the
/// report are cut).
pub(crate) const LATEST_FIRST_SEGMENT: u64 = PAGE;

/// Writes the image file. `entry` is that of a Linux process, `pvh_entry` that of the nucleus.
pub(crate) fn image(
    layout: &Layout,
    entry: u64,
    pvh_entry: u64,
    contents: &Contents,
) -> Result<Vec<u8>, Refusal> {
    let not_code = || Refusal::NotCode { what: "PVH entry", address: pvh_entry };
    let physical_entry = u64::from(layout.physical(pvh_entry).ok_or_else(not_code)?);
    let notes = [
        note(XEN_NAME, XEN_PHYS32_ENTRY, &physical_entry.to_le_bytes()),
        note(NAME, NOTE_TYPE, &contents.encode()),
    ];
    write(layout, entry, &notes).map_err(|error| Refusal::damaged("image", error))
}

fn write(layout: &Layout, entry: u64, notes: &[Vec<u8>; 2]) -> object::write::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut bytes);
    let segment_count =
        u32::try_from(layout.segments.len()).expect("the layout holds at most MAX_SEGMENTS segments");

    writer.reserve_file_header();
    writer.reserve_program_headers(segment_count + OTHER_HEADERS);
    let note_offsets = notes.each_ref().map(|note| writer.reserve(note.len() as u64, NOTE_ALIGNMENT));
    let segment_offsets: Vec<u64> = layout
        .segments
        .iter()
        .map(|segment| writer.reserve(segment.file_bytes().len() as u64, alignment(segment)))
        .collect();

    writer.write_file_header(&file_header(entry))?;
    writer.write_align_program_headers();
    for (index, (segment, &offset)) in (0..).zip(layout.segments.iter().zip(&segment_offsets)) {
        let physical = layout.load_address + segment.load_offset;
        writer.write_program_header(&load_header(
            segment,
            physical,
            mapped_at(index, segment, offset),
            offset,
        ));
    }
    writer.write_program_header(&stack_header());
    for (note, offset) in notes.iter().zip(note_offsets) {
        writer.write_program_header(&note_header(note, offset));
    }
    for (note, offset) in notes.iter().zip(note_offsets) {
        writer.pad_until(offset);
        writer.write(note);
    }
    for (segment, offset) in layout.segments.iter().zip(segment_offsets) {
        writer.pad_until(offset);
        writer.write(segment.file_bytes());
    }
    Ok(bytes)
}

fn file_header(entry: u64) -> FileHeader {
    FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_X86_64,
        e_entry: entry,
        e_flags: elf::FileFlags(0),
    }
}

fn load_header(segment: &Placed, physical: u64, mapped: u64, offset: u64) -> ProgramHeader {
    let file_bytes = segment.file_bytes().len() as u64;
    // Linux would have to write zeros behind the file's bytes.
    let is_written = segment.access.contains(Access::WRITE);
    ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: flags(segment.access),
        p_offset: offset,
        p_vaddr: mapped,
        p_paddr: physical,
        p_filesz: file_bytes,
        p_memsz: if is_written { segment.length } else { file_bytes },
        p_align: PAGE,
    }
}

/// Returns where Linux maps a segment, the `index`th: the nucleus's at low addresses, wherever boot loaders put it, and a
/// page further apart each, so that none shares a page with another.
const fn mapped_at(index: u64, segment: &Placed, offset: u64) -> u64 {
    match segment.owner {
        OWNER_NUCLEUS => LOAD_DIRECT + segment.load_offset + index * PAGE + offset % PAGE,
        _ => segment.virtual_start,
    }
}

const fn alignment(segment: &Placed) -> u64 {
    if segment.owner == OWNER_NUCLEUS { NUCLEUS_ALIGNMENT } else { PAGE }
}

/// Tells Linux that the stack is not executable.
fn stack_header() -> ProgramHeader {
    ProgramHeader {
        p_type: elf::PT_GNU_STACK,
        p_flags: flags(Access::READ_WRITE),
        p_offset: 0,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: 0,
        p_memsz: 0,
        p_align: 16,
    }
}

fn note_header(note: &[u8], offset: u64) -> ProgramHeader {
    ProgramHeader {
        p_type: elf::PT_NOTE,
        p_flags: elf::PF_R,
        p_offset: offset,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: note.len() as u64,
        p_memsz: note.len() as u64,
        p_align: NOTE_ALIGNMENT,
    }
}

fn flags(access: Access) -> elf::ProgramFlags {
    [(Access::READ, elf::PF_R), (Access::WRITE, elf::PF_W), (Access::EXECUTE, elf::PF_X)]
        .into_iter()
        .filter(|(right, _)| access.contains(*right))
        .fold(elf::ProgramFlags(0), |flags, (_, flag)| flags.with(flag))
}

/// Lays a note out; `name` has its terminating zero and is a multiple of 4 bytes long.
fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut note = [length(name), length(description), kind.to_le_bytes()].concat();
    note.extend_from_slice(name);
    note.extend_from_slice(description);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

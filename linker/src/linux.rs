//! Linux programs: a static executable that knows nothing of us, taken as it is.
//!
//! Its segments go to the image with their own rights, at their own addresses or, if it may lie anywhere, where Linux
//! would put it. The guest that serves its calls learns of it by a table (`abi::linux`). Nothing is asked of its code:
//! whatever it does it does in ring 3, and its `syscall` instructions are none of the gate.

use core::mem::offset_of;

use abi::linux::{MAX_PROGRAM_SEGMENTS, POSITION_INDEPENDENT, ProgramSegment, ProgramTable};
use abi::note::TYPE_PROGRAM;
use abi::{Access, PAGE_SIZE, layout};
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::error::Refusal;
use crate::field::{put, u32_at};
use crate::input::{self, ENDIAN, Header, Program, ProgramHeader, Segment};
use crate::layout::Layout;
use crate::note;

/// A program, parsed and checked.
#[derive(Debug)]
pub(crate) struct LinuxProgram<'a> {
    /// What is added to the addresses of the file.
    pub(crate) bias: u64,
    /// By address.
    pub(crate) segments: Vec<Segment<'a>>,
    entry: u64,
    headers: u64,
    header_size: u32,
    header_count: u32,
}

/// Tells whether a file could be a program: an executable that has none of our notes, nor one by which a machine boots it.
pub(crate) fn is_program(bytes: &[u8]) -> bool {
    let Ok((_, headers)) = open(bytes) else { return false };
    let notes = headers.iter().filter(|header| header.p_type(ENDIAN) == elf::PT_NOTE);
    let mut notes = notes.filter_map(|header| header.data(ENDIAN, bytes).ok());
    !notes.any(|data| note::ours(data).any(|note| note.is_ok()) || note::has_boot_entry(data))
}

/// Parses a program and finds a place for it.
pub(crate) fn parse(bytes: &[u8]) -> Result<LinuxProgram<'_>, Refusal> {
    let (header, headers) = open(bytes)?;
    if headers.iter().any(|header| header.p_type(ENDIAN) == elf::PT_INTERP) {
        return Err(Refusal::NeedsLoader("a dynamic loader (PT_INTERP)"));
    }
    let is_anywhere = header.e_type(ENDIAN) == elf::ET_DYN;
    let bias = if is_anywhere { POSITION_INDEPENDENT } else { 0 };
    let segments = segments(headers, bytes)?;
    check_placement(&segments, bias)?;
    let entry = header.e_entry(ENDIAN);
    let is_code = |segment: &Segment<'_>| {
        segment.access.contains(Access::EXECUTE) && segment.file_range().contains(&entry)
    };
    if !segments.iter().any(is_code) {
        return Err(Refusal::NoEntry(entry));
    }
    let table = header.e_phoff(ENDIAN);
    Ok(LinuxProgram {
        bias,
        entry: entry + bias,
        headers: loaded_at(headers, table).map_or(0, |address| address.saturating_add(bias)),
        header_size: u32::from(header.e_phentsize(ENDIAN)),
        header_count: u32::try_from(headers.len()).unwrap_or(0),
        segments,
    })
}

/// Writes the table of `program` into the room that `guest`, which is in `layout`, has for it.
pub(crate) fn fill(
    layout: &mut Layout,
    guest: &Program<'_>,
    program: &LinuxProgram<'_>,
) -> Result<(), Refusal> {
    let address = find_room(guest)?.ok_or(Refusal::BadProgramRoom)?;
    let room = layout.contents_from(address).ok_or(Refusal::BadProgramRoom)?;
    write(room, program).ok_or(Refusal::BadProgramRoom)
}

fn open(bytes: &[u8]) -> Result<(&Header, &[ProgramHeader]), Refusal> {
    let header = match input::header(bytes) {
        Err(Refusal::Dynamic(_)) => Header::parse(bytes).map_err(|_| Refusal::WrongMachine)?,
        other => other?,
    };
    Ok((header, input::program_headers(header, bytes)?))
}

fn segments<'a>(headers: &[ProgramHeader], bytes: &'a [u8]) -> Result<Vec<Segment<'a>>, Refusal> {
    let loaded =
        |header: &&ProgramHeader| header.p_type(ENDIAN) == elf::PT_LOAD && header.p_memsz(ENDIAN) > 0;
    let count = headers.iter().filter(loaded).count();
    match count {
        0 => return Err(Refusal::NoSegments),
        1..=MAX_PROGRAM_SEGMENTS => {}
        _ => return Err(Refusal::TooManyProgramSegments(count)),
    }
    let mut segments = headers
        .iter()
        .filter(loaded)
        .enumerate()
        .map(|(index, header)| segment(header, format!("segment {index}"), bytes))
        .collect::<Result<Vec<_>, _>>()?;
    segments.sort_by_key(|segment| segment.start);
    Ok(segments)
}

fn segment<'a>(header: &ProgramHeader, label: String, bytes: &'a [u8]) -> Result<Segment<'a>, Refusal> {
    // On this CPU whatever may be used may be read.
    let access = input::access(header) | Access::READ;
    if access.is_writable_and_executable() {
        return Err(Refusal::WritableAndExecutable(label));
    }
    let contents = input::contents(header, &label, bytes)?;
    let length = header.p_memsz(ENDIAN);
    if length < contents.len() as u64 {
        return Err(Refusal::damaged(label, "is larger in the file than in memory"));
    }
    Ok(Segment { label, start: header.p_vaddr(ENDIAN), length, bytes: contents, access })
}

fn check_placement(segments: &[Segment<'_>], bias: u64) -> Result<(), Refusal> {
    for segment in segments {
        let start = segment.start.saturating_add(bias);
        let end = start.checked_add(segment.length);
        if start < layout::LINUX_PROGRAM.0 || end.is_none_or(|end| end > layout::GUEST_IMAGE.0) {
            return Err(Refusal::ProgramOutOfRange { segment: segment.label.clone(), start });
        }
    }
    for (first, second) in segments.iter().zip(segments.iter().skip(1)) {
        let page = second.pages().start;
        if page < first.pages().end {
            let names = (first.label.clone(), second.label.clone());
            return Err(Refusal::Overlap { first: names.0, second: names.1, page });
        }
    }
    Ok(())
}

/// Returns the address at which the file's `offset` is loaded.
fn loaded_at(headers: &[ProgramHeader], offset: u64) -> Option<u64> {
    headers.iter().filter(|header| header.p_type(ENDIAN) == elf::PT_LOAD).find_map(|header| {
        let within = offset.checked_sub(header.p_offset(ENDIAN))?;
        let address = header.p_vaddr(ENDIAN).checked_add(within)?;
        (within < header.p_filesz(ENDIAN)).then_some(address)
    })
}

/// Finds the address of the room for a program's table.
fn find_room(guest: &Program<'_>) -> Result<Option<u64>, Refusal> {
    for note in guest.notes.iter().flat_map(|data| note::ours(data)) {
        let (TYPE_PROGRAM, description) = note? else { continue };
        let is_whole = description.len() == size_of::<ProgramTable>();
        let is_ours = u32_at(description, offset_of!(ProgramTable, version)) == Some(abi::VERSION);
        let address = guest.segments.iter().find_map(|segment| segment.address_of(description));
        return address.filter(|_| is_whole && is_ours).map(Some).ok_or(Refusal::BadProgramRoom);
    }
    Ok(None)
}

fn write(room: &mut [u8], program: &LinuxProgram<'_>) -> Option<()> {
    let count = u32::try_from(program.segments.len()).ok()?;
    put(room, offset_of!(ProgramTable, segment_count), count.to_le_bytes())?;
    put(room, offset_of!(ProgramTable, entry), program.entry.to_le_bytes())?;
    put(room, offset_of!(ProgramTable, bias), program.bias.to_le_bytes())?;
    put(room, offset_of!(ProgramTable, headers), program.headers.to_le_bytes())?;
    put(room, offset_of!(ProgramTable, header_size), program.header_size.to_le_bytes())?;
    put(room, offset_of!(ProgramTable, header_count), program.header_count.to_le_bytes())?;
    for (index, segment) in program.segments.iter().enumerate() {
        let start = offset_of!(ProgramTable, segments) + index * size_of::<ProgramSegment>();
        let pages = segment.pages();
        let length = pages.end - pages.start;
        put(room, start + offset_of!(ProgramSegment, start), (pages.start + program.bias).to_le_bytes())?;
        put(room, start + offset_of!(ProgramSegment, length), length.to_le_bytes())?;
        put(room, start + offset_of!(ProgramSegment, access), segment.access.bits().to_le_bytes())?;
    }
    Some(())
}

const _: () = assert!(POSITION_INDEPENDENT.is_multiple_of(PAGE_SIZE as u64), "pages keep their offsets");

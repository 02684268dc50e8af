//! A static Linux program, parsed and checked: its segments, where its code is, and what names functions in it.
//!
//! A stripped file has no symbols, and a file may even have no section headers; only the program headers are sure,
//! because Linux loads by them. What else is there is used, and believed only within the executable segments.

use core::fmt;
use core::ops::Range;

use abi::Access;
use object::elf::{self, Dyn64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _, SectionTable};
use object::{LittleEndian, pod};

use crate::error::Refusal;
use crate::input::{self, ENDIAN, Header, ProgramHeader, Segment, Symbol};

/// End of the lower half of the address space.
const HIGHEST: u64 = 1 << 47;
/// More loadable segments than any linker makes.
const MAX_SEGMENTS: usize = 64;

/// What a program was made with, as far as it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A static C library of GNU.
    Glibc,
    /// The C library musl.
    Musl,
    /// The Go toolchain.
    Go,
    /// Nothing that is known.
    Unknown,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
            Self::Go => "Go",
            Self::Unknown => "unknown C library",
        })
    }
}

/// A loadable segment of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loaded<'a> {
    /// Its address in the file; a position-independent program may be moved as a whole.
    pub start: u64,
    /// Bytes in memory, of which those behind `bytes` are zero.
    pub memory_bytes: u64,
    /// What the file holds of it.
    pub bytes: &'a [u8],
    /// The rights it asks for.
    pub access: Access,
}

/// A static Linux program.
#[derive(Debug)]
pub struct LinuxProgram<'a> {
    pub(super) segments: Vec<Segment<'a>>,
    /// Where instructions stand, within the executable segments.
    pub(super) code: Vec<Code<'a>>,
    pub(super) symbols: Vec<Symbol<'a>>,
    /// Address and contents of `.eh_frame`.
    pub(super) unwind_table: Option<(u64, &'a [u8])>,
    entry: u64,
    is_position_independent: bool,
    origin: Origin,
}

/// Bytes of instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Code<'a> {
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
    /// A section says that all of it are instructions; otherwise tables and constants may stand in between.
    pub(super) is_sure: bool,
}

impl Code<'_> {
    pub(super) fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl<'a> LinuxProgram<'a> {
    /// Parses a file and checks all that the other functions of this module rely on.
    ///
    /// # Errors
    ///
    /// The file is damaged, not for x86-64, dynamic, or has memory that is writable and executable.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let header = input::any_header(bytes)?;
        let headers = input::program_headers(header, bytes)?;
        let is_position_independent = match header.e_type(ENDIAN) {
            elf::ET_EXEC => false,
            elf::ET_DYN => true,
            other => return Err(Refusal::NotExecutable(other.0)),
        };
        refuse_dynamic(headers, bytes, is_position_independent)?;
        let table = header.sections(ENDIAN, bytes).unwrap_or_default();
        let segments = segments(&table, headers, bytes)?;
        let code = code(&table, &segments);
        if code.is_empty() {
            return Err(Refusal::NoCode);
        }
        // Neither symbols nor unwind tables are needed, so damaged ones are as good as none.
        let symbols = input::symbols(&table, bytes).unwrap_or_default();
        let origin = origin(&table, headers, &symbols, &segments, bytes);
        let unwind_table = unwind_table(&table, headers, &segments, bytes);
        let entry = header.e_entry(ENDIAN);
        let program = Self { segments, code, symbols, unwind_table, entry, is_position_independent, origin };
        if !program.code.iter().any(|code| code.range().contains(&entry)) {
            return Err(Refusal::NotCode { what: "entry", address: entry });
        }
        Ok(program)
    }

    /// Returns the loadable segments by address.
    pub fn segments(&self) -> impl Iterator<Item = Loaded<'a>> {
        self.segments.iter().map(|segment| Loaded {
            start: segment.start,
            memory_bytes: segment.length,
            bytes: segment.bytes,
            access: segment.access,
        })
    }

    /// Returns the address of the first instruction.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Tells whether the program may be moved as a whole.
    #[must_use]
    pub fn is_position_independent(&self) -> bool {
        self.is_position_independent
    }

    /// Tells what the program was made with.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Returns the name of the function that holds `address`, if the program has symbols.
    #[must_use]
    pub fn function_at(&self, address: u64) -> Option<String> {
        let symbol = crate::scan::function_at(address, &self.symbols)?;
        Some(format!("{:#}", rustc_demangle::demangle(&String::from_utf8_lossy(symbol.name))))
    }

    /// Returns the file's bytes from `address` to the end of the segment that holds it.
    pub(super) fn bytes_from(&self, address: u64) -> Option<&'a [u8]> {
        bytes_from(&self.segments, address)
    }
}

fn bytes_from<'a>(segments: &[Segment<'a>], address: u64) -> Option<&'a [u8]> {
    let segment = segments.iter().find(|segment| segment.file_range().contains(&address))?;
    segment.bytes.get(usize::try_from(address - segment.start).ok()?..)
}

fn refuse_dynamic(headers: &[ProgramHeader], bytes: &[u8], is_movable: bool) -> Result<(), Refusal> {
    for header in headers {
        match header.p_type(ENDIAN) {
            elf::PT_INTERP => return Err(Refusal::NeedsLoader("a dynamic loader (PT_INTERP)")),
            elf::PT_DYNAMIC => {
                let contents = input::contents(header, "dynamic section", bytes)?;
                refuse_shared(contents, is_movable)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses what a static PIE does not have: other files to load, or no mark that it is a program.
fn refuse_shared(dynamic: &[u8], is_movable: bool) -> Result<(), Refusal> {
    let count = dynamic.len() / size_of::<Dyn64<LittleEndian>>();
    let Ok((entries, _)) = pod::slice_from_bytes::<Dyn64<LittleEndian>>(dynamic, count) else {
        return Err(Refusal::damaged("dynamic section", "is not aligned"));
    };
    let mut is_program = !is_movable;
    for entry in entries {
        match entry.d_tag(ENDIAN) {
            elf::DT_NULL => break,
            elf::DT_NEEDED => return Err(Refusal::NeedsLoader("shared libraries to load (DT_NEEDED)")),
            elf::DT_FLAGS_1 => is_program |= entry.d_val(ENDIAN) & elf::DF_1_PIE.0 != 0,
            _ => {}
        }
    }
    is_program.then_some(()).ok_or(Refusal::NeedsLoader("no mark of a program (DF_1_PIE): it is a library"))
}

fn segments<'a>(
    table: &SectionTable<'_, Header>,
    headers: &[ProgramHeader],
    bytes: &'a [u8],
) -> Result<Vec<Segment<'a>>, Refusal> {
    let mut segments = Vec::new();
    let is_loaded =
        |header: &ProgramHeader| header.p_type(ENDIAN) == elf::PT_LOAD && header.p_memsz(ENDIAN) > 0;
    for (index, header) in headers.iter().enumerate().filter(|(_, header)| is_loaded(header)) {
        let label = input::label(table, index, header);
        let segment = input::segment(header, label, bytes)?;
        if segment.start.checked_add(segment.length).is_none_or(|end| end > HIGHEST) {
            let (start, length) = (segment.start, segment.length);
            let (lowest, limit) = (0, HIGHEST);
            return Err(Refusal::OutOfRange { segment: segment.label, start, length, lowest, limit });
        }
        segments.push(segment);
        if segments.len() > MAX_SEGMENTS {
            return Err(Refusal::damaged("program headers", "have too many segments to load"));
        }
    }
    segments.sort_by_key(|segment| segment.start);
    for (first, second) in segments.iter().zip(segments.iter().skip(1)) {
        if second.start < first.range().end {
            let page = second.pages().start;
            return Err(Refusal::Overlap { first: first.label.clone(), second: second.label.clone(), page });
        }
    }
    Ok(segments)
}

/// Returns the sections of instructions, or without sections the executable segments.
fn code<'a>(table: &SectionTable<'_, Header>, segments: &[Segment<'a>]) -> Vec<Code<'a>> {
    let executable = || segments.iter().filter(|segment| segment.access.contains(Access::EXECUTE));
    let mut code: Vec<Code<'a>> = table
        .iter()
        .filter(|section| section.sh_flags(ENDIAN).contains(elf::SHF_EXECINSTR))
        .filter_map(|section| {
            let start = section.sh_addr(ENDIAN);
            let segment = executable().find(|segment| segment.file_range().contains(&start))?;
            let bytes = segment.bytes.get(usize::try_from(start - segment.start).ok()?..)?;
            let length = usize::try_from(section.sh_size(ENDIAN)).ok()?;
            Some(Code { start, bytes: bytes.get(..length)?, is_sure: true })
        })
        .filter(|code| !code.bytes.is_empty())
        .collect();
    code.sort_by_key(|code| code.start);
    let overlaps =
        code.iter().zip(code.iter().skip(1)).any(|(first, second)| second.start < first.range().end);
    if code.is_empty() || overlaps || code.len() > MAX_SEGMENTS {
        let whole =
            |segment: &Segment<'a>| Code { start: segment.start, bytes: segment.bytes, is_sure: false };
        code = executable().map(whole).filter(|code| !code.bytes.is_empty()).collect();
    }
    code
}

/// Returns address and contents of `.eh_frame`.
fn unwind_table<'a>(
    table: &SectionTable<'_, Header>,
    headers: &[ProgramHeader],
    segments: &[Segment<'a>],
    file: &'a [u8],
) -> Option<(u64, &'a [u8])> {
    if let Some((_, section)) = table.section_by_name(ENDIAN, b".eh_frame") {
        let start = section.sh_addr(ENDIAN);
        let length = usize::try_from(section.sh_size(ENDIAN)).ok()?;
        return Some((start, bytes_from(segments, start)?.get(..length)?));
    }
    let index = headers.iter().find(|header| header.p_type(ENDIAN) == elf::PT_GNU_EH_FRAME)?;
    let contents = input::contents(index, "index of unwind tables", file).ok()?;
    let bases = gimli::BaseAddresses::default().set_eh_frame_hdr(index.p_vaddr(ENDIAN));
    let parsed = gimli::EhFrameHdr::new(contents, gimli::LittleEndian).parse(&bases, 8).ok()?;
    let gimli::Pointer::Direct(start) = parsed.eh_frame_ptr() else { return None };
    Some((start, bytes_from(segments, start)?))
}

fn origin(
    table: &SectionTable<'_, Header>,
    headers: &[ProgramHeader],
    symbols: &[Symbol<'_>],
    segments: &[Segment<'_>],
    bytes: &[u8],
) -> Origin {
    let has_section = |name: &[u8]| table.section_by_name(ENDIAN, name).is_some();
    let has_symbol = |name: &[u8]| symbols.iter().any(|symbol| symbol.name == name);
    let has_text = |text: &[u8]| {
        segments.iter().any(|segment| segment.bytes.windows(text.len()).any(|window| window == text))
    };
    if has_section(b".gopclntab") || has_section(b".go.buildinfo") || has_text(b"\xff Go buildinf:") {
        Origin::Go
    } else if headers.iter().any(|header| is_abi_tag(header, bytes)) {
        Origin::Glibc
    } else if has_symbol(b"__init_libc") || has_text(b"\0No error information\0") {
        Origin::Musl
    } else {
        Origin::Unknown
    }
}

/// Tells whether a header leads to `NT_GNU_ABI_TAG` for Linux, which the start files of glibc bring.
fn is_abi_tag(header: &ProgramHeader, bytes: &[u8]) -> bool {
    let Ok(Some(notes)) = header.notes(ENDIAN, bytes) else { return false };
    let mut notes = core::iter::from_fn({
        let mut notes = notes;
        move || notes.next().ok().flatten()
    });
    notes.any(|note| note.name() == b"GNU" && note.n_type(ENDIAN) == elf::NT_GNU_ABI_TAG)
}

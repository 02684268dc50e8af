//! An input file, parsed and checked: its segments, allocated sections, symbols and notes.
//!
//! Everything after this works on a [`Program`], whose segments are known to be whole, in range, in pages of their
//! own and not writable and executable. Names follow the ELF specification (System V gABI, chapters 4 and 5).

use core::ops::Range;

use abi::{Access, PAGE_SIZE, layout};
use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, SectionTable, Sym as _};

use crate::error::{Refusal, Role};

pub(crate) type Header = FileHeader64<LittleEndian>;
pub(crate) type ProgramHeader = ProgramHeader64<LittleEndian>;
pub(crate) type SectionHeader = SectionHeader64<LittleEndian>;

/// The byte order of all our files.
pub(crate) const ENDIAN: LittleEndian = LittleEndian;

const PAGE: u64 = PAGE_SIZE as u64;

/// A checked input file.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    pub(crate) role: Role,
    /// `e_entry`.
    pub(crate) entry: u64,
    /// Loadable segments by address.
    pub(crate) segments: Vec<Segment<'a>>,
    /// Allocated sections by address.
    pub(crate) sections: Vec<Section>,
    /// Symbols of code and data by address, the larger first.
    pub(crate) symbols: Vec<Symbol<'a>>,
    /// Contents of the note sections and segments.
    pub(crate) notes: Vec<&'a [u8]>,
}

/// A loadable segment.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// "segment 0 (.text)".
    pub(crate) label: String,
    pub(crate) start: u64,
    /// Bytes in memory; at least as many as `bytes` has.
    pub(crate) length: u64,
    /// What the file holds of it.
    pub(crate) bytes: &'a [u8],
    pub(crate) access: Access,
}

/// An allocated section.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) start: u64,
    pub(crate) length: u64,
    pub(crate) kind: SectionKind,
}

/// What a section costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SectionKind {
    Text,
    ReadOnlyData,
    Data,
    /// Takes memory but no room in the file.
    ZeroedData,
}

/// A function or a datum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Program<'_> {
    /// Returns the file's bytes from `address` to the end of the segment that holds it.
    pub(crate) fn bytes_from(&self, address: u64) -> Option<&[u8]> {
        let segment = self.segments.iter().find(|segment| segment.range().contains(&address))?;
        let offset = usize::try_from(address - segment.start).ok()?;
        segment.bytes.get(offset..)
    }

    /// Tells whether `address` may be executed and stands in the file.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        self.executable_segments().any(|segment| segment.file_range().contains(&address))
    }

    pub(crate) fn executable_segments(&self) -> impl Iterator<Item = &Segment<'_>> {
        self.segments.iter().filter(|segment| segment.access.contains(Access::EXECUTE))
    }
}

impl Segment<'_> {
    /// Returns the addresses of the segment.
    pub(crate) fn range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.length)
    }

    /// Returns the addresses whose bytes stand in the file.
    pub(crate) fn file_range(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.bytes.len() as u64)
    }

    /// Returns the address of `part`, which points into the file; `None` if it is not of this segment.
    pub(crate) fn address_of(&self, part: &[u8]) -> Option<u64> {
        let offset = offset_in(self.bytes, part)?;
        self.start.checked_add(offset as u64)
    }

    /// Returns the addresses of the pages that the segment touches.
    pub(crate) fn pages(&self) -> Range<u64> {
        let end = self.range().end;
        self.start & !(PAGE - 1)..abi::address::page_align_up(end).unwrap_or(u64::MAX)
    }
}

/// Returns the offset of `part` in `whole` if it is a part of it.
pub(crate) fn offset_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (offset.checked_add(part.len())? <= whole.len()).then_some(offset)
}

/// Parses `bytes` and checks what does not depend on where the segments lie; see [`check_placement`].
pub(crate) fn parse(bytes: &[u8], role: Role) -> Result<Program<'_>, Refusal> {
    let header = header(bytes)?;
    let headers = program_headers(header, bytes)?;
    refuse_unloadable(headers)?;
    let table = header.sections(ENDIAN, bytes).map_err(|error| Refusal::damaged("section headers", error))?;

    let mut program = Program {
        role,
        entry: header.e_entry(ENDIAN),
        segments: Vec::new(),
        sections: sections(&table)?,
        symbols: symbols(&table, bytes)?,
        notes: notes(&table, headers, bytes)?,
    };
    program.segments = segments(&table, headers, bytes)?;
    if program.segments.is_empty() {
        return Err(Refusal::NoSegments);
    }
    if program.symbols.is_empty() {
        return Err(Refusal::NoSymbols);
    }
    // What was cut off, or was never part of a segment, costs nothing.
    let segments = &program.segments;
    program
        .sections
        .retain(|section| segments.iter().any(|segment| segment.range().contains(&section.start)));
    Ok(program)
}

/// Checks that the segments lie in the part of the address space that is their room's, in pages of their own.
pub(crate) fn check_placement(program: &Program<'_>) -> Result<(), Refusal> {
    let (lowest, limit) = match program.role {
        Role::Nucleus => (layout::NUCLEUS.0, layout::NUCLEUS_END.0),
        Role::Guest => (layout::GUEST_IMAGE.0, layout::GUEST_IMAGE_END.0),
    };
    for segment in &program.segments {
        let end = segment.start.checked_add(segment.length);
        if segment.start < lowest || end.is_none_or(|end| end > limit) {
            let (start, length) = (segment.start, segment.length);
            return Err(Refusal::OutOfRange { segment: segment.label.clone(), start, length, lowest, limit });
        }
    }
    for (first, second) in program.segments.iter().zip(program.segments.iter().skip(1)) {
        let page = second.pages().start;
        if page < first.pages().end {
            return Err(Refusal::Overlap { first: first.label.clone(), second: second.label.clone(), page });
        }
    }
    Ok(())
}

/// Reads the file header of an executable for x86-64 that has its place.
pub(crate) fn header(bytes: &[u8]) -> Result<&Header, Refusal> {
    let header = any_header(bytes)?;
    match header.e_type(ENDIAN) {
        elf::ET_EXEC => Ok(header),
        elf::ET_DYN => Err(Refusal::Dynamic("position-independent code (ET_DYN)")),
        other => Err(Refusal::NotExecutable(other.0)),
    }
}

/// Reads the file header of a file for x86-64.
pub(crate) fn any_header(bytes: &[u8]) -> Result<&Header, Refusal> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Refusal::NotElf);
    }
    if bytes.len() < size_of::<Header>() {
        return Err(Refusal::damaged("file header", "is cut off"));
    }
    let header = Header::parse(bytes).map_err(|_| Refusal::WrongMachine)?;
    if header.endian().is_err() || header.e_machine(ENDIAN) != elf::EM_X86_64 {
        return Err(Refusal::WrongMachine);
    }
    Ok(header)
}

/// Reads the program headers.
pub(crate) fn program_headers<'a>(header: &Header, bytes: &'a [u8]) -> Result<&'a [ProgramHeader], Refusal> {
    header.program_headers(ENDIAN, bytes).map_err(|error| Refusal::damaged("program headers", error))
}

/// Returns what the file holds of a segment.
pub(crate) fn contents<'a>(
    header: &ProgramHeader,
    label: &str,
    bytes: &'a [u8],
) -> Result<&'a [u8], Refusal> {
    header.data(ENDIAN, bytes).map_err(|()| Refusal::damaged(label, "lies outside the file"))
}

/// Returns the rights that a segment asks for.
pub(crate) fn access(header: &ProgramHeader) -> Access {
    let flags = header.p_flags(ENDIAN);
    [(elf::PF_R, Access::READ), (elf::PF_W, Access::WRITE), (elf::PF_X, Access::EXECUTE)]
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(Access::empty(), |access, (_, right)| access | right)
}

fn refuse_unloadable(headers: &[ProgramHeader]) -> Result<(), Refusal> {
    for header in headers {
        match header.p_type(ENDIAN) {
            elf::PT_INTERP => return Err(Refusal::Dynamic("a dynamic loader (PT_INTERP)")),
            elf::PT_DYNAMIC => return Err(Refusal::Dynamic("a dynamic section (PT_DYNAMIC)")),
            elf::PT_GNU_STACK if access(header).is_writable_and_executable() => {
                return Err(Refusal::WritableAndExecutable("the stack (PT_GNU_STACK)".to_owned()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn sections(table: &SectionTable<'_, Header>) -> Result<Vec<Section>, Refusal> {
    let mut sections = Vec::new();
    for header in table.iter().filter(|header| is_allocated(header)) {
        let flags = header.sh_flags(ENDIAN);
        let (is_writable, is_code) = (flags.contains(elf::SHF_WRITE), flags.contains(elf::SHF_EXECINSTR));
        let kind = match (is_writable, is_code) {
            (true, true) => {
                return Err(Refusal::WritableAndExecutable(format!("section {}", name(table, header))));
            }
            (_, true) => SectionKind::Text,
            _ if header.sh_type(ENDIAN) == elf::SHT_NOBITS => SectionKind::ZeroedData,
            (true, _) => SectionKind::Data,
            (false, _) => SectionKind::ReadOnlyData,
        };
        sections.push(Section { start: header.sh_addr(ENDIAN), length: header.sh_size(ENDIAN), kind });
    }
    sections.sort_by_key(|section| section.start);
    Ok(sections)
}

fn is_allocated(header: &SectionHeader) -> bool {
    header.sh_flags(ENDIAN).contains(elf::SHF_ALLOC)
}

fn name(table: &SectionTable<'_, Header>, header: &SectionHeader) -> String {
    let name = table.section_name(ENDIAN, header).unwrap_or(b"?");
    String::from_utf8_lossy(name).into_owned()
}

pub(crate) fn symbols<'a>(
    table: &SectionTable<'a, Header>,
    bytes: &'a [u8],
) -> Result<Vec<Symbol<'a>>, Refusal> {
    let entries = table
        .symbols(ENDIAN, bytes, elf::SHT_SYMTAB)
        .map_err(|error| Refusal::damaged("symbol table", error))?;
    let mut symbols = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_definition(ENDIAN, entries.strings())) {
        let name =
            entries.symbol_name(ENDIAN, entry).map_err(|error| Refusal::damaged("symbol table", error))?;
        symbols.push(Symbol { name, start: entry.st_value(ENDIAN), length: entry.st_size(ENDIAN) });
    }
    symbols.sort_by_key(|symbol| (symbol.start, core::cmp::Reverse(symbol.length)));
    Ok(symbols)
}

fn notes<'a>(
    table: &SectionTable<'a, Header>,
    headers: &[ProgramHeader],
    bytes: &'a [u8],
) -> Result<Vec<&'a [u8]>, Refusal> {
    let mut notes = Vec::new();
    for header in table.iter().filter(|header| header.sh_type(ENDIAN) == elf::SHT_NOTE) {
        let label = || format!("section {}", name(table, header));
        notes.push(header.data(ENDIAN, bytes).map_err(|error| Refusal::damaged(label(), error))?);
    }
    for header in headers.iter().filter(|header| header.p_type(ENDIAN) == elf::PT_NOTE) {
        notes.push(contents(header, "note segment", bytes)?);
    }
    Ok(notes)
}

fn segments<'a>(
    table: &SectionTable<'_, Header>,
    headers: &[ProgramHeader],
    bytes: &'a [u8],
) -> Result<Vec<Segment<'a>>, Refusal> {
    let mut segments = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        let label = label(table, index, header);
        match header.p_type(ENDIAN) {
            elf::PT_TLS if header.p_memsz(ENDIAN) > 0 => return Err(Refusal::ThreadLocal(label)),
            elf::PT_LOAD if header.p_memsz(ENDIAN) > 0 => {
                let mut segment = segment(header, label, bytes)?;
                cut_unwind_tables(&mut segment, table);
                segments.push(segment);
            }
            _ => {}
        }
        if segments.len() > abi::image::MAX_SEGMENTS {
            return Err(Refusal::TooManySegments(segments.len()));
        }
    }
    segments.sort_by_key(|segment| segment.start);
    Ok(segments)
}

/// Cuts `.eh_frame` off the end of a read-only segment: backtraces are made on the host, from the input file.
fn cut_unwind_tables(segment: &mut Segment<'_>, table: &SectionTable<'_, Header>) {
    let Some((_, section)) = table.section_by_name(ENDIAN, b".eh_frame") else { return };
    let start = section.sh_addr(ENDIAN);
    let end = start.checked_add(section.sh_size(ENDIAN));
    let is_last = end == Some(segment.range().end) && segment.file_range() == segment.range();
    if is_last && start > segment.start && !segment.access.contains(Access::WRITE) {
        segment.length = start - segment.start;
        let kept = usize::try_from(segment.length).unwrap_or(usize::MAX).min(segment.bytes.len());
        segment.bytes = &segment.bytes[..kept];
    }
}

/// Names a segment by its place and its first section.
pub(crate) fn label(table: &SectionTable<'_, Header>, index: usize, header: &ProgramHeader) -> String {
    let start = header.p_vaddr(ENDIAN);
    let range = start..start.saturating_add(header.p_memsz(ENDIAN));
    let first = table
        .iter()
        .filter(|section| is_allocated(section) && range.contains(&section.sh_addr(ENDIAN)))
        .min_by_key(|section| section.sh_addr(ENDIAN));
    match first {
        Some(section) => format!("segment {index} ({})", name(table, section)),
        None => format!("segment {index}"),
    }
}

pub(crate) fn segment<'a>(
    header: &ProgramHeader,
    label: String,
    bytes: &'a [u8],
) -> Result<Segment<'a>, Refusal> {
    let access = access(header);
    if access.is_writable_and_executable() {
        return Err(Refusal::WritableAndExecutable(label));
    }
    if !access.contains(Access::READ) {
        return Err(Refusal::NotReadable(label));
    }
    let bytes = contents(header, &label, bytes)?;
    let length = header.p_memsz(ENDIAN);
    if length < bytes.len() as u64 {
        return Err(Refusal::damaged(label, "is larger in the file than in memory"));
    }
    Ok(Segment { label, start: header.p_vaddr(ENDIAN), length, bytes, access })
}

//! Builds small executables, right or wrong, without a compiler or a linker.

use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};

/// An executable to be written; every field may be made wrong.
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    pub(crate) kind: elf::FileType,
    pub(crate) machine: elf::Machine,
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) note: Vec<u8>,
    /// Program headers without contents: type, flags, bytes in memory.
    pub(crate) other_headers: Vec<(elf::ProgramType, elf::ProgramFlags, u64)>,
    pub(crate) symbols: Vec<Symbol>,
    /// Of the segments in the file; Linux wants whole pages.
    pub(crate) alignment: u64,
}

/// A loadable segment that is one section.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) section: &'static str,
    pub(crate) flags: elf::ProgramFlags,
    pub(crate) section_flags: elf::SectionFlags,
    pub(crate) address: u64,
    pub(crate) bytes: Vec<u8>,
    /// Bytes of zeros that follow in memory; may be negative to make a bad file.
    pub(crate) zeroed: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Symbol {
    pub(crate) name: &'static str,
    pub(crate) address: u64,
    pub(crate) length: u64,
}

impl Segment {
    pub(crate) fn text(address: u64, bytes: &[u8]) -> Self {
        let section_flags = elf::SHF_ALLOC.with(elf::SHF_EXECINSTR);
        Self::new(".text", elf::PF_R.with(elf::PF_X), section_flags, address, bytes)
    }

    pub(crate) fn read_only(address: u64, bytes: &[u8]) -> Self {
        Self::new(".rodata", elf::PF_R, elf::SHF_ALLOC, address, bytes)
    }

    pub(crate) fn data(address: u64, bytes: &[u8], zeroed: i64) -> Self {
        let section_flags = elf::SHF_ALLOC.with(elf::SHF_WRITE);
        let data = Self::new(".data", elf::PF_R.with(elf::PF_W), section_flags, address, bytes);
        Self { zeroed, ..data }
    }

    fn new(
        section: &'static str,
        flags: elf::ProgramFlags,
        section_flags: elf::SectionFlags,
        address: u64,
        bytes: &[u8],
    ) -> Self {
        Self { section, flags, section_flags, address, bytes: bytes.to_vec(), zeroed: 0 }
    }

    fn memory_bytes(&self) -> u64 {
        (self.bytes.len() as u64).wrapping_add_signed(self.zeroed)
    }
}

impl Elf {
    /// Writes the file: headers, segments, note, symbols, section headers.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(Endianness::Little, true, &mut bytes);

        let section_names: Vec<_> =
            self.segments.iter().map(|segment| writer.add_section_name(segment.section.as_bytes())).collect();
        let note_name = writer.add_section_name(b".note.metaos");
        let symbol_names: Vec<_> =
            self.symbols.iter().map(|symbol| writer.add_string(symbol.name.as_bytes())).collect();
        let section_indices: Vec<_> = self.segments.iter().map(|_| writer.reserve_section_index()).collect();
        writer.reserve_section_index();
        if !self.symbols.is_empty() {
            writer.reserve_symtab_section_index();
            writer.reserve_strtab_section_index();
        }
        writer.reserve_shstrtab_section_index();

        writer.reserve_file_header();
        let note_headers = usize::from(!self.note.is_empty());
        let headers = self.segments.len() + self.other_headers.len() + note_headers;
        writer.reserve_program_headers(u32::try_from(headers).unwrap());
        let offsets: Vec<_> = self
            .segments
            .iter()
            .map(|segment| writer.reserve(segment.bytes.len() as u64, self.alignment))
            .collect();
        let note_offset = writer.reserve(self.note.len() as u64, 4);
        for _ in &self.symbols {
            writer.reserve_symbol_index(Some(section_indices[0]));
        }
        writer.reserve_symtab();
        writer.reserve_strtab().unwrap();
        writer.reserve_shstrtab().unwrap();
        writer.reserve_section_headers();

        writer.write_file_header(&self.file_header()).unwrap();
        writer.write_align_program_headers();
        for (segment, offset) in self.segments.iter().zip(&offsets) {
            writer.write_program_header(&load_header(segment, *offset));
        }
        for (kind, flags, memory_bytes) in &self.other_headers {
            writer.write_program_header(&bare_header(*kind, *flags, *memory_bytes));
        }
        if note_headers > 0 {
            let length = self.note.len() as u64;
            let header = bare_header(elf::PT_NOTE, elf::PF_R, length);
            writer.write_program_header(&ProgramHeader { p_offset: note_offset, p_filesz: length, ..header });
        }
        for (segment, offset) in self.segments.iter().zip(&offsets) {
            writer.pad_until(*offset);
            writer.write(&segment.bytes);
        }
        writer.pad_until(note_offset);
        writer.write(&self.note);
        writer.write_null_symbol();
        for (symbol, name) in self.symbols.iter().zip(symbol_names) {
            let index = self.holder(symbol.address).map(|index| section_indices[index].0);
            writer.write_symbol(&Sym {
                section: index,
                st_name: writer.string_offset(Some(name)),
                st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_FUNC),
                st_other: elf::SymbolOther(0),
                st_shndx: elf::SHN_UNDEF,
                st_value: symbol.address,
                st_size: symbol.length,
            });
        }
        writer.write_strtab();
        writer.write_shstrtab();

        writer.write_null_section_header();
        for ((segment, name), offset) in self.segments.iter().zip(section_names).zip(offsets) {
            let name = writer.section_name_offset(Some(name));
            writer.write_section_header(&section_header(segment, name, offset));
        }
        let name = writer.section_name_offset(Some(note_name));
        writer.write_section_header(&note_section_header(name, note_offset, self.note.len() as u64));
        if !self.symbols.is_empty() {
            writer.write_symtab_section_header(1);
            writer.write_strtab_section_header();
        }
        writer.write_shstrtab_section_header();
        bytes
    }

    fn holder(&self, address: u64) -> Option<usize> {
        self.segments.iter().position(|segment| {
            address.checked_sub(segment.address).is_some_and(|offset| offset <= segment.bytes.len() as u64)
        })
    }

    fn file_header(&self) -> FileHeader {
        FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: self.kind,
            e_machine: self.machine,
            e_entry: self.entry,
            e_flags: elf::FileFlags(0),
        }
    }
}

fn load_header(segment: &Segment, offset: u64) -> ProgramHeader {
    ProgramHeader {
        p_offset: offset,
        p_vaddr: segment.address,
        p_paddr: segment.address,
        p_filesz: segment.bytes.len() as u64,
        p_align: 0x1000,
        ..bare_header(elf::PT_LOAD, segment.flags, segment.memory_bytes())
    }
}

fn bare_header(kind: elf::ProgramType, flags: elf::ProgramFlags, memory_bytes: u64) -> ProgramHeader {
    ProgramHeader {
        p_type: kind,
        p_flags: flags,
        p_offset: 0,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: 0,
        p_memsz: memory_bytes,
        p_align: 4,
    }
}

fn section_header(segment: &Segment, name: u32, offset: u64) -> SectionHeader {
    let is_note = segment.section.starts_with(".note");
    SectionHeader {
        sh_name: name,
        sh_type: if is_note { elf::SHT_NOTE } else { elf::SHT_PROGBITS },
        sh_flags: segment.section_flags,
        sh_addr: segment.address,
        sh_offset: offset,
        sh_size: segment.bytes.len() as u64,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 16,
        sh_entsize: 0,
    }
}

fn note_section_header(name: u32, offset: u64, length: u64) -> SectionHeader {
    SectionHeader {
        sh_name: name,
        sh_type: elf::SHT_NOTE,
        sh_flags: elf::SectionFlags(0),
        sh_addr: 0,
        sh_offset: offset,
        sh_size: length,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 4,
        sh_entsize: 0,
    }
}

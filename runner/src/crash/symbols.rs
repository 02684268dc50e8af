//! The unstripped ELF files of an image, as far as a crash report needs them: names, lines, rights, code and
//! unwind tables by address.
//!
//! Read when a machine has crashed and never before. A file that is missing or damaged costs names, not the report.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use abi::Access;
use abi::linux::POSITION_INDEPENDENT;
use addr2line::Loader;
use object::{Object, ObjectKind, ObjectSection, ObjectSegment, ObjectSymbol, SegmentFlags, SymbolKind};

/// Paths of the unstripped ELF files of one image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Symbols {
    /// The nucleus.
    pub nucleus: Option<PathBuf>,
    /// The guest.
    pub guest: Option<PathBuf>,
    /// The Linux program that the guest serves.
    pub program: Option<PathBuf>,
}

impl Symbols {
    /// Returns where the symbols of `image` lie when they were written beside it: `F.nucleus.debug`,
    /// `F.guest.debug` and, of a Linux program, `F.program.debug`. Files that are not there are left out.
    #[must_use]
    pub fn beside(image: &Path) -> Self {
        let existing = |owner| Some(Self::path_beside(image, owner)).filter(|path| path.exists());
        Self {
            nucleus: existing(Owner::Nucleus),
            guest: existing(Owner::Guest),
            program: existing(Owner::Program),
        }
    }

    /// Returns the path of the symbols of `owner` beside `image`.
    #[must_use]
    pub fn path_beside(image: &Path, owner: Owner) -> PathBuf {
        let mut path = image.as_os_str().to_owned();
        path.push(match owner {
            Owner::Nucleus => ".nucleus.debug",
            Owner::Guest => ".guest.debug",
            Owner::Program => ".program.debug",
        });
        path.into()
    }
}

/// Which ELF file of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// Ring 0.
    Nucleus,
    /// Ring 3.
    Guest,
    /// A Linux program in ring 3.
    Program,
}

/// A name for an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Symbol {
    /// As the compiler wrote it.
    pub(super) mangled: String,
    /// As a person reads it.
    pub(super) name: String,
    pub(super) is_function: bool,
    start: u64,
    size: u64,
}

/// A function at an address, innermost first where functions were inlined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SourceFrame {
    pub(crate) function: Option<String>,
    pub(crate) location: Option<(String, u32)>,
}

/// One ELF file.
pub(crate) struct Program {
    pub(super) owner: Owner,
    pub(super) eh_frame: Section,
    pub(super) text_start: u64,
    segments: Vec<Segment>,
    symbols: Vec<Symbol>,
    loader: Option<Loader>,
    /// What the linker has added to the addresses in the file.
    bias: u64,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// A section: its bytes and where they lie.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

struct Segment {
    start: u64,
    size: u64,
    access: Access,
    bytes: Vec<u8>,
}

/// Both ELF files of an image, each if it could be read.
#[derive(Debug, Default)]
pub(crate) struct Programs(Vec<Program>);

impl Programs {
    pub(crate) fn load(symbols: &Symbols) -> Self {
        let files = [
            (Owner::Guest, &symbols.guest),
            (Owner::Nucleus, &symbols.nucleus),
            (Owner::Program, &symbols.program),
        ];
        let load = |(owner, path): (Owner, &Option<PathBuf>)| Program::load(owner, path.as_deref()?);
        Self(files.into_iter().filter_map(load).collect())
    }

    /// Returns the program in whose segments `address` lies.
    pub(crate) fn at(&self, address: u64) -> Option<&Program> {
        self.0.iter().find(|program| program.access(address).is_some())
    }
}

impl Program {
    fn load(owner: Owner, path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let file = object::File::parse(&*bytes).ok()?;
        let bias = if file.kind() == ObjectKind::Dynamic { POSITION_INDEPENDENT } else { 0 };
        let section = |name| file.section_by_name(name);
        let eh_frame = section(".eh_frame").and_then(|section| {
            Some(Section {
                start: section.address().wrapping_add(bias),
                bytes: section.data().ok()?.to_vec(),
            })
        });
        Some(Self {
            owner,
            eh_frame: eh_frame.unwrap_or_default(),
            text_start: section(".text").map_or(0, |section| section.address().wrapping_add(bias)),
            segments: file.segments().map(|segment| read_segment(&segment, bias)).collect(),
            symbols: read_symbols(&file, bias),
            loader: Loader::new(path).ok(),
            bias,
        })
    }

    /// Returns the rights of the page at `address`; `None`: it is not of this program.
    pub(super) fn access(&self, address: u64) -> Option<Access> {
        Some(self.segment(address)?.access)
    }

    /// Returns the code from `address` to the end of its segment, if it is code.
    pub(super) fn code(&self, address: u64) -> Option<&[u8]> {
        let segment = self.segment(address).filter(|segment| segment.access.contains(Access::EXECUTE))?;
        segment.bytes.get(usize::try_from(address - segment.start).ok()?..)
    }

    /// Returns the name of what lies at `address`.
    pub(super) fn symbol(&self, address: u64) -> Option<&Symbol> {
        let end = self.symbols.partition_point(|symbol| symbol.start <= address);
        // Assembly routines may have no size: then they reach to the next name.
        let covers = |symbol: &&Symbol| symbol.size == 0 || address - symbol.start < symbol.size;
        self.symbols.get(end.checked_sub(1)?).filter(covers)
    }

    /// Returns the functions at `address`, the innermost first.
    pub(crate) fn source_frames(&self, address: u64) -> Vec<SourceFrame> {
        let mut frames = self.debug_frames(address).unwrap_or_default();
        if frames.is_empty() {
            frames.push(SourceFrame { function: None, location: None });
        }
        // The outermost function is the one with a symbol, which carries its whole path.
        if let (Some(outermost), Some(symbol)) = (frames.last_mut(), self.symbol(address)) {
            outermost.function = Some(symbol.name.clone());
        }
        frames
    }

    fn debug_frames(&self, address: u64) -> Option<Vec<SourceFrame>> {
        let mut found = self.loader.as_ref()?.find_frames(address.wrapping_sub(self.bias)).ok()?;
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = found.next() {
            let function = frame.function.as_ref().and_then(|name| Some(name.demangle().ok()?.into_owned()));
            let location = frame.location.and_then(|place| Some((shorten(place.file?), place.line?)));
            frames.push(SourceFrame { function, location });
        }
        Some(frames)
    }

    fn segment(&self, address: u64) -> Option<&Segment> {
        let holds =
            |segment: &&Segment| address.checked_sub(segment.start).is_some_and(|at| at < segment.size);
        self.segments.iter().find(holds)
    }
}

fn read_segment(segment: &object::Segment<'_, '_>, bias: u64) -> Segment {
    let flags = match segment.flags() {
        SegmentFlags::Elf { p_flags, .. } => p_flags.0,
        _ => 0,
    };
    let rights = [
        (object::elf::PF_R, Access::READ),
        (object::elf::PF_W, Access::WRITE),
        (object::elf::PF_X, Access::EXECUTE),
    ];
    let access =
        rights.into_iter().filter(|(flag, _)| flags & flag.0 != 0).map(|(_, access)| access).collect();
    let bytes = segment.data().unwrap_or_default().to_vec();
    // Rights hold for whole pages.
    let start = abi::VirtAddr(segment.address()).page_start().0;
    let end = segment.address().saturating_add(segment.size());
    let size = abi::address::page_align_up(end).unwrap_or(end).saturating_sub(start);
    let lead = usize::try_from(segment.address() - start).unwrap_or(0);
    let bytes = [vec![0; lead], bytes].concat();
    Segment { start: start.wrapping_add(bias), size, access, bytes }
}

fn read_symbols(file: &object::File<'_>, bias: u64) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = file.symbols().filter_map(|symbol| read_symbol(&symbol, bias)).collect();
    // Of several names at one place the sized one comes last, which is where the search ends.
    symbols.sort_by_key(|symbol| (symbol.start, symbol.size));
    symbols
}

fn read_symbol(symbol: &object::Symbol<'_, '_>, bias: u64) -> Option<Symbol> {
    let is_named = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
    let mangled = symbol.name().ok().filter(|name| is_named && symbol.is_definition() && !name.is_empty())?;
    Some(Symbol {
        mangled: mangled.to_owned(),
        name: format!("{:#}", rustc_demangle::demangle(mangled)),
        is_function: symbol.kind() != SymbolKind::Data,
        start: symbol.address().wrapping_add(bias),
        size: symbol.size(),
    })
}

/// Cuts what is the same in every path: the directory of this run, of the registry, of the compiler's library.
fn shorten(path: &str) -> String {
    let here = std::env::current_dir().ok();
    if let Some(Ok(rest)) = here.map(|here| Path::new(path).strip_prefix(here)) {
        return rest.display().to_string();
    }
    let after = |marker: &str| path.split_once(marker).and_then(|(_, rest)| Some(rest.split_once('/')?.1));
    if let Some(rest) = after("/registry/src/") {
        return rest.to_owned();
    }
    after("/rustc/").and_then(|rest| rest.strip_prefix("library/")).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_to_what_tells_them_apart() {
        assert_eq!(
            shorten("/home/a/.cargo/registry/src/index-1/smoltcp-0.14.0/src/lib.rs"),
            "smoltcp-0.14.0/src/lib.rs"
        );
        assert_eq!(shorten("/rustc/0123/library/core/src/panicking.rs"), "core/src/panicking.rs");
        assert_eq!(shorten("/elsewhere/main.rs"), "/elsewhere/main.rs");
        let here = std::env::current_dir().unwrap().join("src/main.rs");
        assert_eq!(shorten(here.to_str().unwrap()), "src/main.rs");
    }

    #[test]
    fn symbols_lie_beside_their_image() {
        let path = Symbols::path_beside(Path::new("/tmp/app.img"), Owner::Guest);
        assert_eq!(path, Path::new("/tmp/app.img.guest.debug"));
        assert_eq!(Symbols::beside(Path::new("/nowhere/app.img")), Symbols::default());
    }

    #[test]
    fn files_that_are_no_programs_cost_only_names() {
        let symbols =
            Symbols { nucleus: Some("/nowhere".into()), guest: Some("/etc/passwd".into()), program: None };
        assert!(Programs::load(&symbols).at(0x6000_0000_0000).is_none());
    }
}

//! What an image is made of. It travels in a note of the image, so that a stripped file still tells.
//!
//! The note holds only what the program headers do not say: names, entry, gate, the nucleus's virtual addresses and
//! sizes by room, in postcard form, a few hundred bytes. It is our own note (`abi::note::NAME`) in a segment of its own that is not loaded.

use core::fmt;

use abi::{Access, PhysAddr, VirtAddr, layout};
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::filter::Confinement;
use crate::input::{self, ENDIAN, ProgramHeader};
use crate::note;
use crate::room::Room;

/// Type of the report's note; apart from the types in `abi::note`, which only inputs carry.
pub(crate) const NOTE_TYPE: u32 = 0x1000;
/// Longest name of an input in a report, in characters: headers and notes stay within a page.
const MAX_NAME: usize = 64;

/// What an image is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// File name of the nucleus.
    pub nucleus: String,
    /// File name of the guest.
    pub guest: String,
    /// Where the loader puts the image's first byte.
    pub load_address: PhysAddr,
    /// Where ring 3 starts.
    pub entry: VirtAddr,
    /// The one `syscall` instruction that makes Machine calls.
    pub gate: VirtAddr,
    /// By what it is confined when it runs as a Linux process; `None`: it has no room for a filter.
    pub confinement: Option<Confinement>,
    /// Sizes by room; rooms that take nothing are left out.
    pub rooms: Vec<RoomSize>,
    /// The segments, by physical address.
    pub segments: Vec<SegmentReport>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes of memory that the image fills, zeroed data included.
    pub memory_bytes: u64,
}

/// What one room takes, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomSize {
    /// The room.
    pub room: Room,
    /// Machine code.
    pub text: u64,
    /// Constants.
    pub read_only: u64,
    /// Variables with a first value.
    pub data: u64,
    /// Variables that start as zero; they take no room in the file.
    pub zeroed: u64,
}

impl RoomSize {
    pub(crate) const fn empty(room: Room) -> Self {
        Self { room, text: 0, read_only: 0, data: 0, zeroed: 0 }
    }

    /// Returns the bytes of memory.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.in_file().saturating_add(self.zeroed)
    }

    /// Returns the bytes that stand in the file.
    #[must_use]
    pub fn in_file(&self) -> u64 {
        self.text.saturating_add(self.read_only).saturating_add(self.data)
    }
}

/// One segment of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentReport {
    /// Where the program sees it.
    pub virtual_start: VirtAddr,
    /// Where the loader puts it.
    pub physical_start: PhysAddr,
    /// Bytes in memory, whole pages.
    pub memory_bytes: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// What its owner may do with it.
    pub access: Access,
}

impl SegmentReport {
    /// Tells whether the segment is the nucleus's; else it is the guest's.
    #[must_use]
    pub fn is_of_nucleus(&self) -> bool {
        self.virtual_start >= layout::NUCLEUS
    }
}

/// What the note holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) nucleus: String,
    pub(crate) guest: String,
    pub(crate) entry: u64,
    pub(crate) gate: u64,
    pub(crate) confinement: Option<Confinement>,
    /// Where the segments of the nucleus, which come first, have their virtual addresses.
    pub(crate) nucleus_starts: Vec<u64>,
    pub(crate) rooms: Vec<RoomSize>,
}

impl Contents {
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("strings and integers have a postcard form")
    }
}

/// Returns the last part of a path, cut to what a report holds.
pub(crate) fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).chars().take(MAX_NAME).collect()
}

impl Report {
    /// Reads the report of the image in `bytes`.
    pub(crate) fn of_image(bytes: &[u8]) -> Result<Self, Refusal> {
        let header = input::header(bytes)?;
        let headers = header
            .program_headers(ENDIAN, bytes)
            .map_err(|error| Refusal::damaged("program headers", error))?;
        let contents = contents(headers, bytes)?;
        let segments = segments(headers, &contents.nucleus_starts, bytes)?;
        Ok(Self {
            nucleus: contents.nucleus,
            guest: contents.guest,
            load_address: segments.iter().map(|segment| segment.physical_start).min().unwrap_or_default(),
            entry: VirtAddr(contents.entry),
            gate: VirtAddr(contents.gate),
            confinement: contents.confinement,
            rooms: contents.rooms,
            memory_bytes: segments.iter().fold(0, |sum, segment| segment.memory_bytes.saturating_add(sum)),
            segments,
            file_bytes: bytes.len() as u64,
        })
    }
}

fn contents(headers: &[ProgramHeader], bytes: &[u8]) -> Result<Contents, Refusal> {
    for header in headers.iter().filter(|header| header.p_type(ENDIAN) == elf::PT_NOTE) {
        for note in note::ours(input::contents(header, "note segment", bytes)?) {
            let (kind, description) = note?;
            if kind == NOTE_TYPE {
                return postcard::from_bytes(description)
                    .map_err(|error| Refusal::damaged("report note", error));
            }
        }
    }
    Err(Refusal::NotAnImage)
}

fn segments(
    headers: &[ProgramHeader],
    nucleus_starts: &[u64],
    bytes: &[u8],
) -> Result<Vec<SegmentReport>, Refusal> {
    let mut segments = Vec::new();
    let loaded = headers.iter().filter(|header| header.p_type(ENDIAN) == elf::PT_LOAD);
    for (index, header) in loaded.enumerate() {
        input::contents(header, &format!("segment {index}"), bytes)?;
        // The header of a nucleus's segment says where Linux puts it.
        let start = nucleus_starts.get(index).copied().unwrap_or_else(|| header.p_vaddr(ENDIAN));
        segments.push(SegmentReport {
            virtual_start: VirtAddr(start),
            physical_start: PhysAddr(header.p_paddr(ENDIAN)),
            memory_bytes: abi::address::page_align_up(header.p_memsz(ENDIAN)).unwrap_or(u64::MAX),
            file_bytes: header.p_filesz(ENDIAN),
            access: input::access(header),
        });
    }
    Ok(segments)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "guest {}, nucleus {}, loaded at {}", self.guest, self.nucleus, self.load_address)?;
        writeln!(f, "entry {}, gate {}", self.entry, self.gate)?;
        match self.confinement {
            Some(Confinement { calls, instructions }) => writeln!(
                f,
                "as a Linux process: confined to {calls} system calls from the gate ({instructions} instructions)"
            )?,
            None => writeln!(f, "as a Linux process: not confined, it has no room for a filter")?,
        }
        writeln!(f)?;
        self.fmt_rooms(f)?;
        writeln!(f)?;
        self.fmt_segments(f)?;
        writeln!(f)?;
        write!(f, "file {} bytes, memory {} bytes", self.file_bytes, self.memory_bytes)
    }
}

impl Report {
    fn fmt_rooms(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "room", "text", "rodata", "data", "in file", "zeroed"
        )?;
        let mut in_file = 0_u64;
        for size in &self.rooms {
            let RoomSize { room, text, read_only, data, zeroed } = size;
            let file = size.in_file();
            writeln!(f, "{room:<10}{text:>10}{read_only:>10}{data:>10}{file:>10}{zeroed:>10}")?;
            in_file = in_file.saturating_add(file);
        }
        let rest = self.file_bytes.saturating_sub(in_file);
        writeln!(f, "{:<40}{rest:>10}", "headers and padding")?;
        writeln!(f, "{:<40}{:>10}", "total", self.file_bytes)
    }

    fn fmt_segments(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<9}{:>18}{:>12}{:>10}{:>10}  rights",
            "segment", "address", "physical", "in file", "memory"
        )?;
        for segment in &self.segments {
            let owner = if segment.is_of_nucleus() { "nucleus" } else { "guest" };
            let SegmentReport { memory_bytes, file_bytes, .. } = segment;
            let (address, physical) = (segment.virtual_start.0, segment.physical_start.0);
            let rights = rights(segment.access);
            writeln!(
                f,
                "{owner:<9}{address:>#18x}{physical:>#12x}{file_bytes:>10}{memory_bytes:>10}  {rights}"
            )?;
        }
        Ok(())
    }
}

fn rights(access: Access) -> String {
    [(Access::READ, 'r'), (Access::WRITE, 'w'), (Access::EXECUTE, 'x')]
        .into_iter()
        .map(|(right, letter)| if access.contains(right) { letter } else { '-' })
        .collect()
}

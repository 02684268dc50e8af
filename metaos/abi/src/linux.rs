//! What the linker tells a guest about the Linux program in its image.
//!
//! The guest that serves a Linux program is built before anybody knows which; it has room for a table, a note of type
//! [`TYPE_PROGRAM`], which the linker fills in.

use crate::note::{NAME, TYPE_PROGRAM};

/// Most segments of a program.
pub const MAX_PROGRAM_SEGMENTS: usize = 12;
/// Where position-independent programs lie: where Linux puts them when it does not choose addresses by chance.
pub const POSITION_INDEPENDENT: u64 = 0x5555_5555_4000;

/// A program. Aligned as notes are.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub struct ProgramTable {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Valid entries in `segments`; 0 until the linker has been here.
    pub segment_count: u32,
    /// Where it starts.
    pub entry: u64,
    /// What has been added to the addresses in its file.
    pub bias: u64,
    /// Address of its program headers; 0: they are not loaded.
    pub headers: u64,
    /// Bytes of a program header.
    pub header_size: u32,
    /// Number of program headers.
    pub header_count: u32,
    /// The segments, by address.
    pub segments: [ProgramSegment; MAX_PROGRAM_SEGMENTS],
}

/// Whole pages of a program.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub struct ProgramSegment {
    /// The first address.
    pub start: u64,
    /// Bytes in memory.
    pub length: u64,
    /// [`crate::Access`] bits.
    pub access: u32,
}

/// The room for the table, as it stands in the file: the name's size counts its zero, name and descriptor are padded to
/// four bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub struct ProgramNote {
    name_size: u32,
    descriptor_size: u32,
    kind: u32,
    name: [u8; 8],
    /// The table.
    pub table: ProgramTable,
}

impl ProgramNote {
    /// Returns the note that a guest is compiled with.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the table is small")]
    pub const fn unlinked() -> Self {
        const NONE: ProgramSegment = ProgramSegment { start: 0, length: 0, access: 0 };
        Self {
            name_size: 7,
            descriptor_size: size_of::<ProgramTable>() as u32,
            kind: TYPE_PROGRAM,
            name: *NAME,
            table: ProgramTable {
                version: crate::VERSION,
                segment_count: 0,
                entry: 0,
                bias: 0,
                headers: 0,
                header_size: 0,
                header_count: 0,
                segments: [NONE; MAX_PROGRAM_SEGMENTS],
            },
        }
    }
}

const _: () = assert!(size_of::<ProgramNote>() == 20 + size_of::<ProgramTable>(), "a note has no gaps");

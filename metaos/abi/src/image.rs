//! The image table: what the linker tells the nucleus about the segments of one bootable image.

/// Most segments in one image.
pub const MAX_SEGMENTS: usize = 24;
/// First field of an [`ImageTable`], by which linker and nucleus know that they mean the same thing.
pub const MAGIC: u64 = u64::from_le_bytes(*b"metaosIT");

/// Owner of a segment that belongs to the nucleus; guests count from 0.
pub const OWNER_NUCLEUS: u32 = u32::MAX;

/// The table. It lies in the nucleus's read-only data; the linker writes it when it lays the image out.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ImageTable {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// Valid entries in `segments`; 0 until the linker has been here.
    pub segment_count: u32,
    /// Physical address of the first byte of the image for which the linker laid it out.
    pub load_address: u64,
    /// The guest's start, see [`crate::note::GuestNote::entry`].
    pub guest_entry: u64,
    /// Address of the gate's `syscall` instruction.
    pub guest_gate: u64,
    /// The segments.
    pub segments: [Segment; MAX_SEGMENTS],
}

/// One segment: whole pages, no two in one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Segment {
    /// Virtual start, page-aligned.
    pub virtual_start: u64,
    /// Offset of its first byte from `load_address`, page-aligned.
    pub load_offset: u64,
    /// Bytes in memory, a multiple of the page size.
    pub length: u64,
    /// [`crate::Access`] bits.
    pub access: u32,
    /// [`OWNER_NUCLEUS`] or the index of a guest.
    pub owner: u32,
}

impl ImageTable {
    /// Returns the table that a nucleus is compiled with.
    #[must_use]
    pub const fn unlinked() -> Self {
        const NONE: Segment = Segment { virtual_start: 0, load_offset: 0, length: 0, access: 0, owner: 0 };
        Self {
            magic: MAGIC,
            version: crate::VERSION,
            segment_count: 0,
            load_address: 0,
            guest_entry: 0,
            guest_gate: 0,
            segments: [NONE; MAX_SEGMENTS],
        }
    }

    /// Returns the segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        let count = usize::try_from(self.segment_count).unwrap_or(0).min(MAX_SEGMENTS);
        &self.segments[..count]
    }
}

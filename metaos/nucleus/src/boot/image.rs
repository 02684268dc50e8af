//! The image table that the linker filled in.

use crate::report;
use abi::VERSION;
use abi::image::{ImageTable, MAGIC, MAX_SEGMENTS, Segment};

/// The table. The image linker finds it by the nucleus's note and writes it in the file.
#[unsafe(link_section = ".image_table")]
pub(super) static TABLE: ImageTable = ImageTable::unlinked();

/// The image as it lies in memory.
pub(crate) struct Image {
    /// What the linker says of it.
    pub(crate) table: ImageTable,
    load_address: u64,
}

impl Image {
    /// Reads the table of the image that was loaded at `load_address`; ends the machine if it is not one of ours.
    pub(super) fn read(load_address: u64) -> Self {
        let mut table = ImageTable::unlinked();
        let (from, to) = ((&raw const TABLE).cast::<u64>(), (&raw mut table).cast::<u64>());
        for word in 0..size_of::<ImageTable>() / size_of::<u64>() {
            // SAFETY: both are tables of plain integers, whole and aligned quad words. Read as volatile because the
            // linker changes it after the compiler has seen its value; by words, since that is a loop.
            unsafe { to.add(word).write(from.add(word).read_volatile()) }
        }
        if table.magic != MAGIC || table.version != VERSION {
            report::refuse("the image table has another version: link the image again");
        }
        if table.segment_count == 0 || table.segment_count as usize > MAX_SEGMENTS {
            report::refuse("the nucleus has no guest: link an image with `cargo metaos build`");
        }
        Self { table, load_address }
    }

    /// Returns the segments.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.table.segments[..self.table.segment_count as usize]
    }

    /// Returns the physical start of a segment.
    pub(crate) const fn physical_start(&self, segment: &Segment) -> u64 {
        self.load_address + segment.load_offset
    }
}

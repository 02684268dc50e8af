//! The image table that the linker filled in.

use crate::report;
use abi::VERSION;
use abi::image::{ImageTable, MAGIC, Segment};
use core::ops::Range;

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
        let place = &raw const TABLE;
        // SAFETY: a table of plain integers. Where it lies is read as volatile because the linker changes it after the
        // compiler has seen its value; the table itself as volatile would be a pair of instructions for each integer.
        let table = unsafe { (&raw const place).read_volatile().read() };
        if table.magic != MAGIC || table.version != VERSION {
            report::refuse("the image table has another version: link the image again");
        }
        if table.segments().is_empty() {
            report::refuse("the nucleus has no guest: link an image with `cargo metaos build`");
        }
        Self { table, load_address }
    }

    /// Returns the physical start of a segment.
    pub(crate) const fn physical_start(&self, segment: &Segment) -> u64 {
        self.load_address + segment.load_offset
    }

    /// Returns the physical addresses of the image from its first segment to its last.
    pub(crate) fn range(&self) -> Range<u64> {
        let ends = self.table.segments().iter().map(|segment| self.physical_start(segment) + segment.length);
        self.load_address..ends.max().unwrap_or(self.load_address)
    }
}

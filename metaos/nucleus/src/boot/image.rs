//! The image table that the linker filled in.

use crate::report;
use abi::VERSION;
use abi::image::{ImageTable, MAGIC, MAX_SEGMENTS, Segment};
use core::ptr;

/// The table. The image linker finds it by the nucleus's note and writes it in the file.
#[unsafe(link_section = ".image_table")]
pub(super) static TABLE: ImageTable = ImageTable::unlinked();

/// The image as it lies in memory.
#[derive(Debug)]
pub struct Image {
    table: ImageTable,
    load_address: u64,
}

impl Image {
    /// Returns the segments.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.table.segments[..self.table.segment_count as usize]
    }

    /// Returns the physical start of a segment.
    #[must_use]
    pub fn physical_start(&self, segment: &Segment) -> u64 {
        self.load_address + segment.load_offset
    }

    /// Returns where the guest starts.
    #[must_use]
    pub fn guest_entry(&self) -> u64 {
        self.table.guest_entry
    }

    /// Returns the address of the guest's one `syscall` instruction.
    #[must_use]
    pub fn guest_gate(&self) -> u64 {
        self.table.guest_gate
    }
}

/// Reads the table of the image that was loaded at `load_address`; ends the machine if it is not one of ours.
pub(super) fn read(load_address: u64) -> Image {
    // SAFETY: the table is a static of plain integers. It is read as volatile because the linker changes it after
    // the compiler has seen its value.
    let table = unsafe { ptr::read_volatile(&raw const TABLE) };
    if table.magic != MAGIC || table.version != VERSION {
        report::refuse("the image table has another version: link the image again");
    }
    if table.segment_count == 0 || table.segment_count as usize > MAX_SEGMENTS {
        report::refuse("the nucleus has no guest: link an image with `cargo metaos build`");
    }
    Image { table, load_address }
}

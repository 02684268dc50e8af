//! Builds the final address space while the early tables still map all low memory.

use super::entry::{Entry, Kind, NO_EXECUTE, USER, WRITABLE, rights};
use super::tables::{LEVEL_PAGE, Tables};
use super::{Memory, frames::Frames, ranges::UserRange};
use crate::boot::{Handoff, Image, Ranges};
use crate::{layout, privileged, report};
use abi::{Access, PAGE_SIZE, image::OWNER_NUCLEUS};
use core::{ptr, slice};

const PAGE: u64 = PAGE_SIZE as u64;
/// Memory below stays unused: real-mode tables, and the page from which further CPUs will start.
const LOWEST_FREE: u64 = 0x1_0000;
/// The early tables map no more.
const EARLY_END: u64 = 4 << 30;
const TOO_LITTLE: &str = "too little memory for page tables: start the machine with more (-m)";

impl Memory {
    /// Finds the free frames, builds the final tables with all segments of the image, and loads them.
    ///
    /// Called under the early tables. Ends the machine if memory is too small for the nucleus's own tables.
    pub(crate) fn new(handoff: &Handoff, image: &Image, address_bits: u8) -> Self {
        let below = handoff.free.iter().map(|range| range.end.min(layout::MAX_PHYSICAL));
        let words = Frames::words_for(below.max().unwrap_or(0));
        let bitmap_bytes = (words as u64 * 8).next_multiple_of(PAGE);
        // A table for each MiB, which is room for the smallest ranges that a guest maps, and some for the start.
        let table_frames = (40 + words / 4).min(layout::MAX_TABLE_FRAMES);
        let mut taken = handoff.reserved.clone();
        taken.add(0..LOWEST_FREE);
        for segment in image.segments() {
            let start = image.physical_start(segment);
            taken.add(start..start + segment.length);
        }
        let bytes = bitmap_bytes + table_frames as u64 * PAGE;
        let own = place(&handoff.free, &taken, bytes).unwrap_or_else(|| report::refuse(TOO_LITTLE));
        let pool = own + bitmap_bytes..own + bytes;
        taken.add(own..own + bytes);

        // SAFETY: `own` is free memory that nobody else was given, identity-mapped by the early tables.
        let mut frames = Frames::new(unsafe { bitmap_at(own, words) });
        handoff.free.iter().for_each(|range| frames.release(range.clone()));
        taken.iter().for_each(|range| frames.reserve(range));
        // SAFETY: as for the bitmap.
        let tables = unsafe { Tables::new(pool.clone(), pool.start) };
        let highest_address = (1 << address_bits.clamp(32, 52)) - 1;
        let mut memory = Self { frames, tables, shown: Entry::EMPTY, highest_address };
        memory.map_supervisor(layout::FRAME_TABLE, own, bitmap_bytes, WRITABLE | NO_EXECUTE);
        memory.map_supervisor(layout::TABLES, pool.start, pool.end - pool.start, WRITABLE | NO_EXECUTE);
        memory.map_segments(image);
        // SAFETY: the final tables map the nucleus's segments, its boot stack and data among them, at the same
        // addresses; what the early tables mapped besides is not used any more: the two views move along.
        unsafe {
            privileged::load_page_tables(memory.tables.root());
            memory.tables.move_to(layout::TABLES);
            memory.frames.bitmap = bitmap_at(layout::FRAME_TABLE, words);
        }
        memory
    }

    /// Maps `length` bytes for the nucleus alone. Ends the machine if tables run out, which boot has sized.
    pub(crate) fn map_supervisor(&mut self, start: u64, physical: u64, length: u64, flags: u64) {
        for offset in (0..length).step_by(PAGE_SIZE) {
            let entry = Entry::supervisor(physical + offset, flags);
            if self.tables.set(start + offset, LEVEL_PAGE, entry).is_err() {
                report::refuse(TOO_LITTLE);
            }
        }
    }

    /// Maps a zeroed frame for the nucleus, and returns it. Ends the machine if there is none: this happens only at boot.
    pub(crate) fn map_fresh(&mut self, address: u64) -> u64 {
        let frame = self.frames.allocate_run(1, 1);
        let frame =
            frame.unwrap_or_else(|| report::refuse("too little memory: start the machine with more (-m)"));
        self.clear_frame(frame);
        self.map_supervisor(address, frame, PAGE, WRITABLE | NO_EXECUTE);
        frame
    }

    /// Maps the nucleus's segments, each with its own rights, and the guest's.
    fn map_segments(&mut self, image: &Image) {
        for segment in image.segments() {
            let access = Access::from_bits_truncate(segment.access);
            if access.is_writable_and_executable() {
                report::refuse("a segment of the image is writable and executable: link it again");
            }
            let physical = image.physical_start(segment);
            if segment.owner == OWNER_NUCLEUS {
                self.map_supervisor(segment.virtual_start, physical, segment.length, rights(access) & !USER);
                continue;
            }
            let range = UserRange::new(segment.virtual_start, segment.length);
            let entry = Entry::user(physical, access, Kind::Fixed);
            if range.and_then(|range| self.map_frames(range, entry)).is_err() {
                report::refuse("the segments of the guest overlap or lie out of range: link the image again");
            }
        }
    }
}

/// Finds the lowest `bytes` of memory in `map`, page-aligned and below 4 GiB, clear of `taken`.
fn place(map: &Ranges, taken: &Ranges, bytes: u64) -> Option<u64> {
    map.iter().find_map(|range| {
        let end = range.end.min(EARLY_END);
        let mut start = range.start.next_multiple_of(PAGE);
        while start.checked_add(bytes)? <= end {
            let clash = taken.iter().find(|other| other.start < start + bytes && start < other.end);
            match clash {
                None => return Some(start),
                Some(other) => start = other.end.next_multiple_of(PAGE),
            }
        }
        None
    })
}

/// Returns the frame table at `address`.
///
/// # Safety
///
/// `words` quad words are mapped writable there for good, and nothing else uses them.
unsafe fn bitmap_at(address: u64, words: usize) -> &'static mut [u64] {
    let start = ptr::with_exposed_provenance_mut(address as usize);
    // SAFETY: the caller vouches for memory and exclusiveness; page-aligned addresses suit quad words, of which any
    // bit pattern is valid.
    unsafe { slice::from_raw_parts_mut(start, words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_placed_clear_of_what_is_taken() {
        let (mut map, mut taken) = (Ranges::default(), Ranges::default());
        map.add(0..0x9_f000);
        map.add(0x10_0000..0x80_0000);
        taken.add(0..0x1_0000);
        taken.add(0x10_0000..0x15_0800);
        assert_eq!(place(&map, &taken, 0x8_0000), Some(0x1_0000));
        assert_eq!(place(&map, &taken, 0x10_0000), Some(0x15_1000));
        assert_eq!(place(&map, &taken, 0x70_0000), None);
    }
}

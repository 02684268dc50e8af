//! Builds the final address space while the early tables still map all low memory.

use super::entry::{Entry, FIXED, NO_EXECUTE, PROTECTABLE, USER, WRITABLE, rights};
use super::{Memory, UserRange, check_access, frames::Frames, tables::Tables};
use crate::boot::{Handoff, Image};
use crate::{layout, privileged, report};
use abi::{Error, PAGE_SIZE, image::OWNER_NUCLEUS, layout::GUEST_IMAGE};
use core::{ops::Range, ptr, slice};

const PAGE: u64 = PAGE_SIZE as u64;
/// Memory below stays unused: real-mode tables, and the page from which further CPUs will start.
const LOWEST_FREE: u64 = 0x1_0000;
/// The early tables map no more.
const EARLY_END: u64 = 4 << 30;

impl Memory {
    /// Finds the free frames, builds the final tables with all segments of the image, and loads them.
    ///
    /// Called under the early tables. Ends the machine if memory is too small for the nucleus's own tables.
    pub(crate) fn new(handoff: &Handoff, image: &Image, physical_end: u64) -> Self {
        let below = handoff.free.iter().map(|range| range.end.min(layout::MAX_PHYSICAL));
        let words = Frames::words_for(below.max().unwrap_or(0));
        let bitmap_bytes = (words as u64 * 8).next_multiple_of(PAGE);
        // A table for each MiB, which is room for the smallest ranges that a guest maps, and some for the start.
        let bytes = bitmap_bytes + (40 + words as u64 / 4) * PAGE;
        let own = report::expect(place(&handoff.free, &image.range(), bytes).ok_or(Error::OutOfMemory));

        let view = layout::OWN_MEMORY + own;
        let bitmap = ptr::with_exposed_provenance_mut(view as usize);
        // SAFETY: `own` is free memory that nobody else was given. At its view it is mapped writable by the early tables
        // and will be by the final ones; it is page-aligned, and any bit pattern is a valid quad word.
        let (bitmap, tables) = unsafe {
            let tables = Tables::new(own + bitmap_bytes..own + bytes, layout::OWN_MEMORY);
            (slice::from_raw_parts_mut(bitmap, words), tables)
        };
        let mut frames = Frames::new(bitmap);
        handoff.free.iter().for_each(|range| frames.release(range.clone()));
        [0..LOWEST_FREE, image.range(), own..own + bytes].iter().for_each(|taken| frames.reserve(taken));
        let mut memory = Self { frames, tables, shown: Entry::EMPTY, physical_end };
        memory.map_supervisor(view, own, bytes, WRITABLE | NO_EXECUTE);
        memory.map_segments(image);
        // SAFETY: the final tables map the nucleus's segments, its boot stack and data among them, and the frame table
        // and the page tables, at the same addresses; what the early tables mapped besides is not used any more.
        unsafe { privileged::load_page_tables(memory.tables.root) };
        memory
    }

    /// Maps `length` bytes for the nucleus alone. Ends the machine if tables run out, which boot has sized.
    pub(crate) fn map_supervisor(&mut self, start: u64, physical: u64, length: u64, flags: u64) {
        for offset in (0..length).step_by(PAGE_SIZE) {
            let entry = Entry::supervisor(physical + offset, flags);
            report::expect(self.tables.set(start + offset, entry));
        }
    }

    /// Maps a zeroed frame for the nucleus, and returns it. Ends the machine if there is none: this happens only at boot.
    pub(crate) fn map_fresh(&mut self, address: u64) -> u64 {
        let frame = report::expect(self.frames.allocate_run(1, 1).ok_or(Error::OutOfMemory));
        self.clear_frame(frame);
        self.map_supervisor(address, frame, PAGE, WRITABLE | NO_EXECUTE);
        frame
    }

    /// Maps the nucleus's segments, each with its own rights, and the guest's.
    fn map_segments(&mut self, image: &Image) {
        for segment in image.table.segments() {
            let access = report::expect(check_access(segment.access.into()));
            let physical = image.physical_start(segment);
            if segment.owner == OWNER_NUCLEUS {
                self.map_supervisor(segment.virtual_start, physical, segment.length, rights(access) & !USER);
                continue;
            }
            let range = report::expect(UserRange::new(segment.virtual_start, segment.length));
            // A Linux program takes the right to write from its own constants once it has relocated them.
            let kind = if segment.virtual_start < GUEST_IMAGE.0 { PROTECTABLE } else { FIXED };
            report::expect(self.map_frames(range, Entry::user(physical, access, kind)));
        }
    }
}

/// Finds `bytes` of memory in `map`, page-aligned and below 4 GiB, clear of low memory and of the image.
fn place(map: &[Range<u64>], image: &Range<u64>, bytes: u64) -> Option<u64> {
    let lowest = [LOWEST_FREE, image.end.next_multiple_of(PAGE)];
    map.iter().find_map(|range| {
        let starts = lowest.map(|lowest| range.start.next_multiple_of(PAGE).max(lowest));
        starts.into_iter().find(|&start| {
            let end = start.saturating_add(bytes);
            end <= range.end.min(EARLY_END) && (end <= image.start || image.end <= start)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::slice::from_ref;

    #[test]
    fn own_memory_is_placed_clear_of_what_is_taken() {
        let (map, image) = ([0..0x9_f000, 0x10_0000..0x80_0000], 0x10_0000..0x15_0800);
        assert_eq!(place(&map, &image, 0x8_0000), Some(0x1_0000));
        assert_eq!(place(&map, &image, 0x10_0000), Some(0x15_1000));
        assert_eq!(place(&map, &image, 0x70_0000), None);
        assert_eq!(place(&map, &(0x40_0000..0x50_0000), 0x10_0000), Some(0x10_0000));
        assert_eq!(place(from_ref(&(1 << 32..1 << 33)), &image, 0x1000), None);
    }
}

//! Builds the final address space while the early tables still map all low memory.

use super::Memory;
use super::entry::{Entry, Kind, NO_EXECUTE, WRITABLE};
use super::frames::Frames;
use super::ranges::UserRange;
use super::tables::{LEVEL_PAGE, Tables};
use crate::boot::{Handoff, Image, MemoryMap, Range};
use crate::{layout, privileged, report};
use abi::image::OWNER_NUCLEUS;
use abi::{Access, PAGE_SIZE};
use core::{ptr, slice};

const PAGE: u64 = PAGE_SIZE as u64;
/// Memory below stays unused: real-mode tables, and the page from which further CPUs will start.
const LOWEST_FREE: u64 = 0x1_0000;
/// The early tables map no more.
const EARLY_END: u64 = 4 << 30;

impl Memory {
    /// Finds the free frames and makes an empty address space.
    ///
    /// Called under the early tables. Ends the machine if memory is too small for the nucleus's own tables.
    #[must_use]
    pub fn new(handoff: &Handoff, image: &Image, address_bits: u8) -> Self {
        let map = &handoff.memory;
        let end = map.end_below(layout::MAX_PHYSICAL);
        let words = Frames::words_for(end);
        let table_frames = (40 + (end / PAGE) as usize / 256).min(layout::MAX_TABLE_FRAMES);
        let bitmap_bytes = (words as u64 * 8).next_multiple_of(PAGE);
        let pool_bytes = table_frames as u64 * PAGE;
        let mut taken = handoff.reserved.clone();
        taken.add(Range { start: 0, end: LOWEST_FREE });
        for segment in image.segments() {
            let start = image.physical_start(segment);
            taken.add(Range { start, end: start + segment.length });
        }
        let Some(own) = place(map, &taken, bitmap_bytes + pool_bytes) else {
            report::refuse("too little memory for page tables: start the machine with more (-m)");
        };
        taken.add(Range { start: own, end: own + bitmap_bytes + pool_bytes });

        // SAFETY: `own` is free memory that nobody else was given, identity-mapped by the early tables.
        let mut frames = Frames::new(unsafe { bitmap_at(own, words) });
        for range in map.ranges() {
            frames.release_range(Range { start: range.start, end: range.end.min(layout::MAX_PHYSICAL) });
        }
        for range in taken.ranges() {
            frames.reserve_range(*range);
        }
        let pool = own + bitmap_bytes;
        // SAFETY: as for the bitmap.
        let tables = unsafe { Tables::new(pool, table_frames, pool) };
        let highest_address = (1 << address_bits.clamp(32, 52)) - 1;
        let mut memory = Self { frames, tables, shown: Entry::EMPTY, highest_address };
        memory.map_views(own, bitmap_bytes);
        memory
    }

    /// Maps the nucleus's segments, each with its own rights, and the guest's.
    pub fn map_segments(&mut self, image: &Image) {
        for segment in image.segments() {
            let access = Access::from_bits_truncate(segment.access);
            if access.is_writable_and_executable() {
                report::refuse("a segment of the image is writable and executable: link it again");
            }
            let physical = image.physical_start(segment);
            if segment.owner == OWNER_NUCLEUS {
                self.map_supervisor(segment.virtual_start, physical, segment.length, flags_of(access));
            } else {
                let range = UserRange::new(segment.virtual_start, segment.length);
                let entry = Entry::user(physical, access, Kind::Fixed);
                if range.and_then(|range| self.map_frames(range, entry)).is_err() {
                    report::refuse(
                        "the segments of the guest overlap or lie out of range: link the image again",
                    );
                }
            }
        }
    }

    /// Maps `length` bytes for the nucleus alone. Ends the machine if tables run out, which boot has sized.
    pub fn map_supervisor(&mut self, start: u64, physical: u64, length: u64, flags: u64) {
        for offset in (0..length).step_by(PAGE_SIZE) {
            let entry = Entry::supervisor(physical + offset, flags);
            if self.tables.set(start + offset, LEVEL_PAGE, entry).is_err() {
                report::refuse("too little memory for page tables: start the machine with more (-m)");
            }
        }
    }

    /// Takes a zeroed frame for the nucleus. Ends the machine if there is none: this happens only at boot.
    pub fn take_frame(&mut self) -> u64 {
        let Some(frame) = self.frames.allocate() else {
            report::refuse("too little memory: start the machine with more (-m)");
        };
        self.clear_frame(frame);
        frame
    }

    /// Maps fresh memory for the nucleus alone.
    pub fn map_fresh(&mut self, start: u64, length: u64) {
        for offset in (0..length).step_by(PAGE_SIZE) {
            let frame = self.take_frame();
            self.map_supervisor(start + offset, frame, PAGE, WRITABLE | NO_EXECUTE);
        }
    }

    /// Loads the final tables, and from then on sees frame table and page tables in the upper half.
    pub fn leave_boot_tables(&mut self, end: u64) {
        // SAFETY: the final tables map the nucleus's segments, its boot stack and data among them, at the same
        // addresses; what the early tables mapped besides is not used any more: the two views move along.
        unsafe {
            privileged::load_page_tables(self.tables.root());
            self.tables.move_to(layout::TABLES);
            self.frames.move_to(bitmap_at(layout::FRAME_TABLE, Frames::words_for(end)));
        }
    }

    fn map_views(&mut self, own: u64, bitmap_bytes: u64) {
        let (pool, frames) = self.tables.pool();
        self.map_supervisor(layout::FRAME_TABLE, own, bitmap_bytes, WRITABLE | NO_EXECUTE);
        self.map_supervisor(layout::TABLES, pool, frames as u64 * PAGE, WRITABLE | NO_EXECUTE);
    }
}

fn flags_of(access: Access) -> u64 {
    let write = if access.contains(Access::WRITE) { WRITABLE } else { 0 };
    let execute = if access.contains(Access::EXECUTE) { 0 } else { NO_EXECUTE };
    write | execute
}

/// Finds the lowest `bytes` of memory in `map`, page-aligned and below 4 GiB, clear of `taken`.
fn place(map: &MemoryMap, taken: &MemoryMap, bytes: u64) -> Option<u64> {
    map.ranges().iter().find_map(|range| {
        let end = range.end.min(EARLY_END);
        let mut start = range.start.next_multiple_of(PAGE);
        while start.checked_add(bytes)? <= end {
            let clash = taken.ranges().iter().find(|other| other.start < start + bytes && start < other.end);
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
        let (mut map, mut taken) = (MemoryMap::new(), MemoryMap::new());
        map.add(Range { start: 0, end: 0x9_f000 });
        map.add(Range { start: 0x10_0000, end: 0x80_0000 });
        taken.add(Range { start: 0, end: 0x1_0000 });
        taken.add(Range { start: 0x10_0000, end: 0x15_0800 });
        assert_eq!(place(&map, &taken, 0x8_0000), Some(0x1_0000));
        assert_eq!(place(&map, &taken, 0x10_0000), Some(0x15_1000));
        assert_eq!(place(&map, &taken, 0x70_0000), None);
    }
}

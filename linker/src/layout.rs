//! Where every page of the image goes in physical memory.
//!
//! The nucleus comes first and keeps the distances between its segments, so that its boot code, which runs before
//! there are page tables, can find data at link-time distances. The guest's segments follow without gaps.
//! Zeroed data takes physical pages too: the image is one run of memory, and the nucleus need not look for frames
//! before it has a frame table.

use abi::{Access, PAGE_SIZE, image};

use crate::error::Refusal;
use crate::input::{Program, Segment};

/// Most bytes of memory that an image may fill. Far more than any program has, and little enough that sums of
/// placed segments do not overflow.
const MAX_IMAGE_BYTES: u64 = 1 << 30;
/// Boot loaders enter with 32-bit addresses.
const PHYSICAL_LIMIT: u64 = 1 << 32;
/// `int3`, so that a jump past the end of code is caught at its first instruction.
const BREAKPOINT: u8 = 0xcc;

const PAGE: u64 = PAGE_SIZE as u64;

/// The image's segments in the order of their physical addresses.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) load_address: u64,
    pub(crate) segments: Vec<Placed>,
}

/// A segment of whole pages at its place.
#[derive(Debug)]
pub(crate) struct Placed {
    /// [`image::OWNER_NUCLEUS`] or the guest's index.
    pub(crate) owner: u32,
    pub(crate) virtual_start: u64,
    /// Distance from the load address.
    pub(crate) load_offset: u64,
    /// Bytes in memory, whole pages.
    pub(crate) length: u64,
    /// Its first bytes; the rest is zero.
    pub(crate) contents: Vec<u8>,
    pub(crate) access: Access,
}

impl Layout {
    /// Places the nucleus at `load_address`.
    pub(crate) fn of_nucleus(nucleus: &Program<'_>, load_address: u64) -> Result<Self, Refusal> {
        if !load_address.is_multiple_of(PAGE) {
            return Err(Refusal::BadLoadAddress(load_address));
        }
        let mut layout = Self { load_address, segments: Vec::new() };
        let first = nucleus.segments.first().map_or(0, |segment| segment.pages().start);
        for segment in &nucleus.segments {
            let load_offset = segment.pages().start - first;
            layout.push(Placed::new(segment, image::OWNER_NUCLEUS, load_offset))?;
        }
        Ok(layout)
    }

    /// Places the guest after what is placed already.
    pub(crate) fn append_guest(&mut self, guest: &Program<'_>) -> Result<(), Refusal> {
        const GUEST: u32 = 0;

        for segment in &guest.segments {
            self.push(Placed::new(segment, GUEST, self.length()))?;
        }
        Ok(())
    }

    /// Places a Linux program, whose addresses are moved by `bias`, where the guest's own segments go.
    pub(crate) fn append_program(&mut self, segments: &[Segment<'_>], bias: u64) -> Result<(), Refusal> {
        const GUEST: u32 = 0;

        for segment in segments {
            let mut placed = Placed::new(segment, GUEST, self.length());
            placed.virtual_start += bias;
            self.push(placed)?;
        }
        Ok(())
    }

    /// Returns the bytes of memory that the image fills.
    pub(crate) fn length(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.load_offset + last.length)
    }

    /// Returns the virtual addresses of the nucleus's segments.
    pub(crate) fn nucleus_starts(&self) -> Vec<u64> {
        let of_nucleus = self.segments.iter().filter(|segment| segment.owner == image::OWNER_NUCLEUS);
        of_nucleus.map(|segment| segment.virtual_start).collect()
    }

    /// Returns the physical address of `address`, for boot loaders.
    pub(crate) fn physical(&self, address: u64) -> Option<u32> {
        let segment = self.holder(address)?;
        let physical = self.load_address + segment.load_offset + (address - segment.virtual_start);
        u32::try_from(physical).ok()
    }

    /// Returns the contents from `address` to the end of its segment, to be filled in.
    pub(crate) fn contents_from(&mut self, address: u64) -> Option<&mut [u8]> {
        let segment = self.segments.iter_mut().find(|segment| segment.holds(address))?;
        let offset = usize::try_from(address - segment.virtual_start).ok()?;
        segment.contents.get_mut(offset..)
    }

    fn holder(&self, address: u64) -> Option<&Placed> {
        self.segments.iter().find(|segment| segment.holds(address))
    }

    fn push(&mut self, placed: Placed) -> Result<(), Refusal> {
        // Both terms are below 2^41 (`input::check_placement`).
        let end = placed.load_offset + placed.length;
        if end > MAX_IMAGE_BYTES {
            return Err(Refusal::TooLarge(end));
        }
        if self.load_address > PHYSICAL_LIMIT - end {
            return Err(Refusal::BadLoadAddress(self.load_address));
        }
        self.segments.push(placed);
        if self.segments.len() > image::MAX_SEGMENTS {
            return Err(Refusal::TooManySegments(self.segments.len()));
        }
        Ok(())
    }
}

impl Placed {
    fn new(segment: &Segment<'_>, owner: u32, load_offset: u64) -> Self {
        let pages = segment.pages();
        let access = segment.access;
        Self {
            owner,
            virtual_start: pages.start,
            load_offset,
            length: pages.end - pages.start,
            contents: contents(segment),
            access,
        }
    }

    /// Returns what goes to the file. A segment that can be written, or is copied and never mapped, ends with its last
    /// byte that is not zero. Any other is whole pages, so that what stands behind it in the file is never mapped with
    /// its rights.
    pub(crate) fn file_bytes(&self) -> &[u8] {
        if self.owner != image::OWNER_NUCLEUS && !self.access.contains(Access::WRITE) {
            return &self.contents;
        }
        let used = self.contents.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        &self.contents[..used]
    }

    fn holds(&self, address: u64) -> bool {
        address.checked_sub(self.virtual_start).is_some_and(|offset| offset < self.length)
    }
}

/// Returns the segment's bytes from the start of its first page to the end of the last page that the input file
/// reaches into.
fn contents(segment: &Segment<'_>) -> Vec<u8> {
    let padding = if segment.access.contains(Access::EXECUTE) { BREAKPOINT } else { 0 };
    let in_page = usize::try_from(segment.start % PAGE).unwrap_or(0);
    let mut contents = vec![padding; in_page];
    contents.extend_from_slice(segment.bytes);
    let whole = contents.len().next_multiple_of(PAGE_SIZE);
    let used = usize::try_from(segment.length).map_or(whole, |length| in_page.saturating_add(length));
    contents.resize(whole.min(used), 0);
    contents.resize(whole, padding);
    contents
}

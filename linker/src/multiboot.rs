//! Fills in the entry address of the nucleus's multiboot2 header (Multiboot2 Specification 2.0, 3.1).
//!
//! The header cannot name the entry itself: the address is physical, and only the linker knows where the image is
//! loaded.

use abi::note::NucleusNote;

use crate::error::Refusal;
use crate::field::{put, u16_at, u32_at};
use crate::layout::Layout;
use crate::write;

/// The header must lie within this many bytes from the start of the file (3.1.1).
const SEARCHED_BYTES: u64 = 32 << 10;
const ALIGNMENT: u64 = 8;

const MAGIC: u32 = 0xe852_50d6;
const ARCHITECTURE_I386: u32 = 0;
const HEADER_BYTES: usize = 16;

const TAG_HEADER_BYTES: usize = 8;
const TAG_END: u16 = 0;
const TAG_ENTRY_ADDRESS: u16 = 3;
const ENTRY_ADDRESS_BYTES: usize = 12;

/// Writes the physical address of the multiboot2 entry into the header's entry-address tag.
pub(crate) fn fill(layout: &mut Layout, nucleus: &NucleusNote) -> Result<(), Refusal> {
    let address = nucleus.multiboot_header;
    let refuse = |cause| Refusal::BadMultibootHeader { address, cause };

    let entry =
        layout.physical(nucleus.multiboot_entry).ok_or_else(|| refuse("has no entry in the image"))?;
    let in_segment = layout.segments.first().and_then(|first| address.checked_sub(first.virtual_start));
    let file_offset = in_segment.map(|in_segment| in_segment.saturating_add(write::LATEST_FIRST_SEGMENT));
    let header = layout.contents_from(address).ok_or_else(|| refuse("is not in the file"))?;
    let header = check(header).map_err(refuse)?;
    match file_offset {
        Some(start) if start.saturating_add(header.len() as u64) <= SEARCHED_BYTES => {}
        _ => return Err(refuse("is not in the file's first 32 KiB")),
    }
    if !address.is_multiple_of(ALIGNMENT) {
        return Err(refuse("is not aligned to 8 bytes"));
    }
    let tag = entry_tag(header).map_err(refuse)?;
    put(header, tag + TAG_HEADER_BYTES, entry.to_le_bytes()).ok_or_else(|| refuse("is cut off"))
}

/// Checks the fixed part and returns as many bytes as the header says it has.
fn check(bytes: &mut [u8]) -> Result<&mut [u8], &'static str> {
    let field = |index: usize| u32_at(bytes, index * 4).ok_or("is cut off");
    let [magic, architecture, length, checksum] = [field(0)?, field(1)?, field(2)?, field(3)?];
    if magic != MAGIC {
        return Err("does not start with the magic number");
    }
    if architecture != ARCHITECTURE_I386 {
        return Err("is not for i386");
    }
    if magic.wrapping_add(architecture).wrapping_add(length).wrapping_add(checksum) != 0 {
        return Err("has a wrong checksum");
    }
    let length = usize::try_from(length).map_err(|_| "is cut off")?;
    bytes.get_mut(..length).ok_or("is cut off")
}

/// Returns the offset of the entry-address tag in the header.
fn entry_tag(header: &[u8]) -> Result<usize, &'static str> {
    let mut offset = HEADER_BYTES;
    loop {
        let kind = u16_at(header, offset).ok_or("has no end tag")?;
        let size = u32_at(header, offset + 4).ok_or("has no end tag")?;
        let size = usize::try_from(size).map_err(|_| "has a tag that is too long")?;
        match kind {
            TAG_ENTRY_ADDRESS if size == ENTRY_ADDRESS_BYTES => return Ok(offset),
            TAG_END => return Err("has no entry-address tag"),
            _ if size < TAG_HEADER_BYTES => return Err("has a tag that is too short"),
            _ => {}
        }
        offset = size
            .checked_next_multiple_of(8)
            .and_then(|size| offset.checked_add(size))
            .ok_or("has a tag that is too long")?;
    }
}

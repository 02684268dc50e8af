//! Fills in the image table, by which the nucleus learns where its own and the guest's pages lie.

use core::mem::offset_of;

use abi::image::{ImageTable, MAGIC, Segment};
use abi::note::{GuestNote, NucleusNote};

use crate::error::Refusal;
use crate::field::{put, u32_at, u64_at};
use crate::layout::{Layout, Placed};

/// Writes the table at the place that the nucleus's note names.
pub(crate) fn fill(layout: &mut Layout, nucleus: &NucleusNote, guest: &GuestNote) -> Result<(), Refusal> {
    let refusal = Refusal::BadImageTable(nucleus.image_table);
    let header = encode_header(layout, guest);
    let segments: Vec<_> = layout.segments.iter().map(encode_segment).collect();
    let table = match layout.contents_from(nucleus.image_table) {
        Some(table) if is_unlinked(table) => table,
        _ => return Err(refusal),
    };
    write(table, &header, &segments).ok_or(refusal)
}

/// Tells whether the bytes start as `ImageTable::unlinked()` does and are long enough.
fn is_unlinked(table: &[u8]) -> bool {
    table.len() >= size_of::<ImageTable>()
        && u64_at(table, offset_of!(ImageTable, magic)) == Some(MAGIC)
        && u32_at(table, offset_of!(ImageTable, version)) == Some(abi::VERSION)
}

/// A field and its value.
type Field = (usize, [u8; 8]);

fn encode_header(layout: &Layout, guest: &GuestNote) -> [Field; 3] {
    [
        (offset_of!(ImageTable, load_address), layout.load_address.to_le_bytes()),
        (offset_of!(ImageTable, guest_entry), guest.entry.to_le_bytes()),
        (offset_of!(ImageTable, guest_gate), guest.gate.to_le_bytes()),
    ]
}

fn encode_segment(placed: &Placed) -> [u8; size_of::<Segment>()] {
    let mut bytes = [0; size_of::<Segment>()];
    let wide = [
        (offset_of!(Segment, virtual_start), placed.virtual_start),
        (offset_of!(Segment, load_offset), placed.load_offset),
        (offset_of!(Segment, length), placed.length),
    ];
    let narrow =
        [(offset_of!(Segment, access), placed.access.bits()), (offset_of!(Segment, owner), placed.owner)];
    for (offset, value) in wide {
        put(&mut bytes, offset, value.to_le_bytes()).expect("the field lies in the structure");
    }
    for (offset, value) in narrow {
        put(&mut bytes, offset, value.to_le_bytes()).expect("the field lies in the structure");
    }
    bytes
}

fn write(table: &mut [u8], header: &[Field], segments: &[[u8; size_of::<Segment>()]]) -> Option<()> {
    for &(offset, value) in header {
        put(table, offset, value)?;
    }
    let count = u32::try_from(segments.len()).ok()?;
    put(table, offset_of!(ImageTable, segment_count), count.to_le_bytes())?;
    for (index, segment) in segments.iter().enumerate() {
        put(table, offset_of!(ImageTable, segments) + index * size_of::<Segment>(), *segment)?;
    }
    Some(())
}

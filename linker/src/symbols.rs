//! How many bytes each room takes, by the symbols of the guest.
//!
//! The nucleus counts as one room with all that it links, because its copy of `core` runs in ring 0 only. Of the
//! guest, each byte of an allocated section counts for the symbol that covers it; what no symbol covers is
//! [`Room::Other`].

use core::ops::Range;

use crate::input::{Program, Section, SectionKind, Symbol};
use crate::report::RoomSize;
use crate::room::{Room, room_of_symbol};

/// Returns the sizes of the rooms that have any, in the order of [`Room::ALL`].
pub(crate) fn sizes_by_room(nucleus: &Program<'_>, guest: &Program<'_>) -> Vec<RoomSize> {
    let mut sizes = Room::ALL.map(RoomSize::empty);
    for section in &nucleus.sections {
        add(&mut sizes, Room::Nucleus, section.kind, section.length);
    }
    for section in &guest.sections {
        add_section(&mut sizes, guest, section);
    }
    sizes.into_iter().filter(|size| size.total() > 0).collect()
}

fn add_section(sizes: &mut [RoomSize], guest: &Program<'_>, section: &Section) {
    let end = section.start.saturating_add(section.length);
    let first = guest.symbols.partition_point(|symbol| symbol.start < section.start);
    let last = guest.symbols.partition_point(|symbol| symbol.start < end);
    let mut counted = section.start;
    let mut attributed = 0;
    for symbol in guest.symbols.get(first..last).unwrap_or(&[]) {
        let range = clip(symbol, counted..end);
        let length = range.end - range.start;
        if length > 0 {
            add(sizes, room(symbol), section.kind, length);
            attributed += length;
            counted = range.end;
        }
    }
    add(sizes, Room::Other, section.kind, section.length.saturating_sub(attributed));
}

/// Returns the symbol's addresses within `range`: aliases and nested symbols count once.
fn clip(symbol: &Symbol<'_>, range: Range<u64>) -> Range<u64> {
    let start = symbol.start.clamp(range.start, range.end);
    let end = symbol.start.saturating_add(symbol.length).clamp(start, range.end);
    start..end
}

fn room(symbol: &Symbol<'_>) -> Room {
    room_of_symbol(&String::from_utf8_lossy(symbol.name))
}

fn add(sizes: &mut [RoomSize], room: Room, kind: SectionKind, length: u64) {
    let Some(size) = sizes.iter_mut().find(|size| size.room == room) else { return };
    let field = match kind {
        SectionKind::Text => &mut size.text,
        SectionKind::ReadOnlyData => &mut size.read_only,
        SectionKind::Data => &mut size.data,
        SectionKind::ZeroedData => &mut size.zeroed,
    };
    // Section sizes are whatever the file says.
    *field = field.saturating_add(length);
}

//! Segments at addresses, or in numbers and sizes, that do not fit.

use abi::layout::{GUEST_IMAGE, GUEST_IMAGE_END};

use super::{Case, bad_guest, bad_nucleus, changed};
use crate::builder::Segment;
use crate::samples::{self, guest, nucleus};

/// Segments in places where they may not be.
pub(super) fn placements() -> Vec<Case> {
    let moved = |address: u64| changed(guest(), |elf| elf.segments[2].address = address);
    let many = |count: u64| {
        changed(guest(), |elf| {
            for index in 3..count {
                elf.segments.push(Segment::read_only(samples::GUEST_DATA + 0x1000 * (2 + index), b"x"));
            }
        })
    };
    vec![
        bad_guest(
            "below-range.elf",
            moved(0x40_0000),
            "segment 2 (.data) at 0x400000, 0x300a bytes, is not within 0x600000000000..0x620000000000; \
             set its address in the linker script",
        ),
        bad_guest(
            "beyond-range.elf",
            moved(GUEST_IMAGE_END.0 - 0x1000),
            "segment 2 (.data) at 0x61fffffff000, 0x300a bytes, is not within 0x600000000000..0x620000000000; \
             set its address in the linker script",
        ),
        bad_guest(
            "over-the-nucleus.elf",
            moved(samples::NUCLEUS_DATA),
            "segment 2 (.data) at 0xffffffff80002000, 0x300a bytes, is not within \
             0x600000000000..0x620000000000; set its address in the linker script",
        ),
        bad_guest(
            "wraps-around.elf",
            moved(u64::MAX - 0x10),
            "segment 2 (.data) at 0xffffffffffffffef, 0x300a bytes, is not within \
             0x600000000000..0x620000000000; set its address in the linker script",
        ),
        bad_nucleus(
            "nucleus-in-lower-half.elf",
            changed(nucleus(), |elf| elf.segments[2].address = GUEST_IMAGE.0),
            "segment 2 (.data) at 0x600000000000, 0x2007 bytes, is not within \
             0xffffffff80000000..0xffffffff80200000; set its address in the linker script",
        ),
        bad_guest(
            "overlap.elf",
            changed(guest(), |elf| elf.segments[1].zeroed = 0x2000),
            "segment 1 (.rodata) and segment 2 (.data) share page 0x600000002000; align segments to 4096 bytes",
        ),
        bad_guest(
            "shared-page.elf",
            moved(samples::GUEST_RODATA + 0x800),
            "segment 1 (.rodata) and segment 2 (.data) share page 0x600000001000; align segments to 4096 bytes",
        ),
        bad_guest(
            "many-segments.elf",
            many(25),
            "brings the image to 25 segments of at most 24; merge sections in the linker script",
        ),
        bad_guest(
            "many-segments-together.elf",
            many(22),
            "brings the image to 25 segments of at most 24; merge sections in the linker script",
        ),
        bad_guest(
            "huge.elf",
            changed(guest(), |elf| elf.segments[2].zeroed = 1 << 30),
            "needs 0x40008000 bytes of image memory; make its static data smaller",
        ),
    ]
}

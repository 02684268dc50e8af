//! Programs of a kind that an image cannot hold.

use object::elf;

use super::{Case, bad_guest, bad_nucleus, changed};
use crate::samples::{guest, nucleus};

/// Whole ELF files that are not the kind of program that an image can hold.
pub(super) fn programs() -> Vec<Case> {
    let with_header = |kind, flags| changed(guest(), |elf| elf.other_headers.push((kind, flags, 16)));
    vec![
        bad_guest(
            "object.elf",
            changed(guest(), |elf| elf.kind = elf::ET_REL),
            "not an executable (ELF type 1); pass the linked program",
        ),
        bad_guest(
            "position-independent.elf",
            changed(guest(), |elf| elf.kind = elf::ET_DYN),
            "has position-independent code (ET_DYN); link it with -static -no-pie",
        ),
        bad_guest(
            "interpreter.elf",
            with_header(elf::PT_INTERP, elf::PF_R),
            "has a dynamic loader (PT_INTERP); link it with -static -no-pie",
        ),
        bad_guest(
            "dynamic.elf",
            with_header(elf::PT_DYNAMIC, elf::PF_R),
            "has a dynamic section (PT_DYNAMIC); link it with -static -no-pie",
        ),
        bad_guest(
            "thread-local.elf",
            with_header(elf::PT_TLS, elf::PF_R),
            "segment 3 is thread-local storage; drop `thread_local` and crates that need std",
        ),
        bad_guest(
            "executable-stack.elf",
            with_header(elf::PT_GNU_STACK, elf::PF_R.with(elf::PF_W).with(elf::PF_X)),
            "the stack (PT_GNU_STACK) is writable and executable; give code and data segments of their own",
        ),
        bad_guest(
            "writable-text.elf",
            changed(guest(), |elf| elf.segments[0].flags = elf::PF_R.with(elf::PF_W).with(elf::PF_X)),
            "segment 0 (.text) is writable and executable; give code and data segments of their own",
        ),
        bad_guest(
            "executable-data-section.elf",
            changed(guest(), |elf| {
                elf.segments[2].section_flags = elf.segments[2].section_flags.with(elf::SHF_EXECINSTR);
            }),
            "section .data is writable and executable; give code and data segments of their own",
        ),
        bad_nucleus(
            "writable-text-nucleus.elf",
            changed(nucleus(), |elf| elf.segments[0].flags = elf::PF_R.with(elf::PF_W).with(elf::PF_X)),
            "segment 0 (.text) is writable and executable; give code and data segments of their own",
        ),
        bad_guest(
            "unreadable.elf",
            changed(guest(), |elf| elf.segments[2].flags = elf::PF_W),
            "segment 2 (.data) is not readable; set PF_R in the linker script",
        ),
        bad_guest(
            "no-segments.elf",
            changed(guest(), |elf| {
                for segment in &mut elf.segments {
                    segment.bytes.clear();
                    segment.zeroed = 0;
                }
            }),
            "has nothing to load; check its linker script",
        ),
        bad_guest(
            "stripped.elf",
            changed(guest(), |elf| elf.symbols.clear()),
            "has no symbol table; link it without stripping (strip = \"none\")",
        ),
    ]
}

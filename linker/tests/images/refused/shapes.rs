//! Files that are cut off, damaged or made for something else.

use object::elf;

use super::{Case, bad_guest, changed, cut, patched};
use crate::samples::guest;

/// Files that are not whole or not ELF.
pub(super) fn shapes() -> Vec<Case> {
    const PROGRAM_HEADERS: usize = 64;
    const FILE_SIZE_FIELD: usize = 32;
    let whole = guest().build();
    let section_headers = whole.len() - 7 * 64;
    vec![
        bad_guest("empty.elf", Vec::new(), "not an ELF file; pass the executable that cargo built"),
        bad_guest(
            "script.elf",
            b"#!/bin/sh\nexec true\n".to_vec(),
            "not an ELF file; pass the executable that cargo built",
        ),
        bad_guest(
            "cut-magic.elf",
            cut(whole.clone(), 3),
            "not an ELF file; pass the executable that cargo built",
        ),
        bad_guest(
            "cut-header.elf",
            cut(whole.clone(), 40),
            "file header: is cut off; the file is damaged, build it again",
        ),
        bad_guest(
            "cut-program-headers.elf",
            cut(whole.clone(), 100),
            "program headers: Invalid ELF program header size or alignment; the file is damaged, build it again",
        ),
        bad_guest(
            "cut-section-headers.elf",
            cut(whole.clone(), section_headers + 100),
            "section headers: Invalid ELF section header offset/size/alignment; \
             the file is damaged, build it again",
        ),
        bad_guest(
            "segment-outside-file.elf",
            patched(whole.clone(), PROGRAM_HEADERS + FILE_SIZE_FIELD, &0x7_0000_u64.to_le_bytes()),
            "segment 0 (.text): lies outside the file; the file is damaged, build it again",
        ),
        bad_guest(
            "larger-in-file.elf",
            changed(guest(), |elf| elf.segments[2].zeroed = -4),
            "segment 2 (.data): is larger in the file than in memory; the file is damaged, build it again",
        ),
        bad_guest(
            "elf32.elf",
            patched(whole.clone(), 4, &[1]),
            "not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu",
        ),
        bad_guest(
            "big-endian.elf",
            patched(whole, 5, &[2]),
            "not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu",
        ),
        bad_guest(
            "aarch64.elf",
            changed(guest(), |elf| elf.machine = elf::EM_AARCH64),
            "not a 64-bit x86-64 file; build it for x86_64-unknown-linux-gnu",
        ),
    ]
}

//! Linux programs: what is taken, where it goes, and what is refused with which words.

use abi::layout::{GUEST_IMAGE, LINUX_PROGRAM, LOAD_DIRECT};
use abi::linux::{MAX_PROGRAM_SEGMENTS, POSITION_INDEPENDENT, ProgramTable};
use abi::note::{NAME, TYPE_PROGRAM};
use metaos_linker::{GuestPolicy, Image, Input, LinkError, Options, is_linux_program, link_linux};
use object::elf;

use crate::builder::{Elf, Segment};
use crate::mutations::{Numbers, mutate};
use crate::samples;

const PAGE: u64 = 0x1000;
const ROUNDS: usize = 10_000;

/// A program with every instruction that a guest may not have: `syscall; vzeroupper; hlt`.
const TEXT: [u8; 6] = [0x0f, 0x05, 0xc5, 0xf8, 0x77, 0xf4];

#[test]
fn a_program_keeps_its_addresses_and_rights_and_its_code_is_its_own() {
    let image = link(&program(LINUX_PROGRAM.0)).unwrap();
    let found: Vec<(u64, u32)> = image
        .report
        .segments
        .iter()
        .map(|segment| (segment.virtual_start.0, segment.access.bits()))
        .filter(|(start, _)| *start < GUEST_IMAGE.0)
        .collect();
    assert_eq!(found, [(LINUX_PROGRAM.0, 5), (LINUX_PROGRAM.0 + PAGE, 1), (LINUX_PROGRAM.0 + 2 * PAGE, 3)]);
    assert_eq!(image.report.guest, "program");
}

#[test]
fn a_program_that_may_lie_anywhere_lies_where_linux_puts_it() {
    let image = link(&Elf { kind: elf::ET_DYN, ..program(0) }).unwrap();
    let lowest = image.report.segments.iter().map(|segment| segment.virtual_start.0).min();
    assert_eq!(lowest, Some(POSITION_INDEPENDENT));
    // The table's entry, in the room that follows the note's header.
    let entry = POSITION_INDEPENDENT.to_le_bytes();
    assert!(
        image.bytes.windows(8).any(|bytes| bytes == entry),
        "the guest is not told where the program starts"
    );
}

#[test]
fn what_cannot_run_is_refused_with_what_to_do() {
    let at = |address| program(address);
    let with = |change: fn(&mut Elf)| {
        let mut elf = program(LINUX_PROGRAM.0);
        change(&mut elf);
        elf
    };
    let refused = [
        (with(|elf| elf.other_headers.push((elf::PT_INTERP, elf::PF_R, 0))), "build it static"),
        (at(0x20_0000), "-Wl,--image-base=0x400000"),
        (at(GUEST_IMAGE.0 - PAGE), "is not within"),
        (with(|elf| elf.entry = LINUX_PROGRAM.0 + PAGE), "which is not code"),
        (with(|elf| elf.segments[2].flags = elf::PF_W.with(elf::PF_X)), "is writable and executable"),
        (with(|elf| elf.segments[2].address = LINUX_PROGRAM.0 + PAGE + 8), "share page 0x401000"),
        (with(|elf| elf.segments.clear()), "has nothing to load"),
        (
            with(|elf| {
                let more = |index| Segment::read_only(LINUX_PROGRAM.0 + index * PAGE, b"more");
                elf.segments.extend((3..=MAX_PROGRAM_SEGMENTS as u64).map(more));
            }),
            "segments of at most 12",
        ),
        (with(|elf| elf.machine = elf::EM_386), "not a 64-bit x86-64 file"),
    ];
    for (elf, words) in refused {
        let message = link(&elf).expect_err(words).to_string();
        assert!(message.starts_with("program: ") && message.contains(words), "{message}");
    }
}

#[test]
fn a_guest_without_room_is_refused() {
    let message =
        link_bytes(&samples::guest().build(), &program(LINUX_PROGRAM.0).build()).unwrap_err().to_string();
    assert!(message.starts_with("door: has no room for a Linux program"), "{message}");
}

#[test]
fn only_a_foreign_executable_is_a_linux_program() {
    assert!(is_linux_program(&program(LINUX_PROGRAM.0).build()));
    let image = link(&program(LINUX_PROGRAM.0)).unwrap().bytes;
    for ours in
        [image, samples::nucleus().build(), samples::guest().build(), b"#!/bin/sh\n".to_vec(), Vec::new()]
    {
        assert!(!is_linux_program(&ours));
    }
}

#[test]
fn a_changed_program_is_linked_or_refused() {
    let (door, good) = (door(), program(LINUX_PROGRAM.0).build());
    let mut numbers = Numbers(5);
    let mut linked = 0;
    for _ in 0..ROUNDS {
        let mut changed = good.clone();
        mutate(&mut changed, &mut numbers);
        linked += usize::from(link_bytes(&door, &changed).is_ok());
    }
    assert!(linked > 0 && linked < ROUNDS, "{linked} of {ROUNDS} were linked");
}

fn program(start: u64) -> Elf {
    Elf {
        entry: start,
        segments: vec![
            Segment::text(start, &TEXT),
            Segment::read_only(start + PAGE, b"constant"),
            Segment::data(start + 2 * PAGE, b"data", 0x3000),
        ],
        note: Vec::new(),
        symbols: Vec::new(),
        alignment: PAGE,
        ..samples::guest()
    }
}

/// A guest with room for a program's table.
fn door() -> Vec<u8> {
    let length = u32::try_from(size_of::<ProgramTable>()).unwrap();
    let mut note = [8, length, TYPE_PROGRAM].map(u32::to_le_bytes).concat();
    note.extend_from_slice(NAME);
    note.extend_from_slice(&abi::VERSION.to_le_bytes());
    note.resize(samples::FILTER_NOTE_HEADER + size_of::<ProgramTable>(), 0);
    samples::guest_with_filter_note(&note).build()
}

fn link(program: &Elf) -> Result<Image, LinkError> {
    link_bytes(&door(), &program.build())
}

fn link_bytes(door: &[u8], program: &[u8]) -> Result<Image, LinkError> {
    let options = Options { load_address: LOAD_DIRECT, guest_policy: GuestPolicy::Checked };
    link_linux(
        &Input { name: "nucleus", bytes: &samples::nucleus().build() },
        &Input { name: "door", bytes: door },
        &Input { name: "program", bytes: program },
        &options,
    )
}

//! Windows are sound on paper: no target within, the same instructions elsewhere, and all other code unchanged.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use metaos_linker::rewrite::{Entry, LinuxProgram, Patched, Plan, Text, Verdict};

use crate::native::stubs_address;
use crate::samples;

/// Of 1 000 sites, how many are patched at least.
const PATCHED: usize = 970;

#[test]
fn windows_of_real_programs_are_sound() {
    for sample in samples::all() {
        let program = LinuxProgram::parse(&sample.bytes).unwrap();
        let plan = Plan::of(&program);
        let summary = plan.summary();
        assert!(summary.sites > 10, "{}", sample.name);
        assert!(summary.patched * 1000 >= summary.sites * PATCHED, "{}: {summary}", sample.name);
        let bias = if program.is_position_independent() { 0x5555_0000_0000 } else { 0 };
        let placement = metaos_linker::rewrite::Placement { bias, stubs: stubs_address(&program) + bias };
        let patched =
            plan.emit(&placement, |number| 0x6000_0000_0000 + u64::from(number == Some(39)) * 64).unwrap();
        assert_eq!(patched.sites.len(), summary.patched);
        check_windows(&program, &plan);
        check_text(&program, &plan, &patched, bias);
        check_stubs(&program, &patched, placement.stubs, bias);
    }
}

fn windows<'a>(plan: &'a Plan<'_>) -> impl Iterator<Item = &'a core::ops::Range<u64>> {
    plan.sites().iter().filter_map(|site| match &site.verdict {
        Verdict::Patched(window) => Some(&window.range),
        Verdict::Trapped(_) => None,
    })
}

fn check_windows(program: &LinuxProgram<'_>, plan: &Plan<'_>) {
    let mut end = 0;
    for window in windows(plan) {
        assert!(window.start >= end && window.end - window.start >= 5, "{window:#x?}");
        end = window.end;
        let mut address = window.start;
        while address < end {
            assert!(address == window.start || !plan.is_target(address), "{window:#x?}");
            address = original(program, address).next_ip();
        }
        assert_eq!(address, end, "a window ends with an instruction");
    }
}

/// Whatever a target leads to is the instruction that was there, or the jump to a stub.
fn check_text(program: &LinuxProgram<'_>, plan: &Plan<'_>, patched: &Patched, bias: u64) {
    let starts: Vec<u64> = windows(plan).map(|window| window.start + bias).collect();
    for (text, segment) in patched.text.iter().zip(program.segments().filter(|s| is_text(s, patched, bias))) {
        let original = Text { start: text.start, bytes: segment.bytes.to_vec() };
        for address in
            (text.start..text.start + text.bytes.len() as u64).filter(|at| plan.is_target(at - bias))
        {
            let (before, after) = (decode(&original, address), decode(text, address));
            if starts.binary_search(&address).is_ok() {
                assert_eq!(after.mnemonic(), Mnemonic::Jmp);
            } else if !before.is_invalid() {
                assert!(!after.is_invalid(), "{address:#x}: {before:?} is none now");
            }
        }
    }
    for site in &patched.sites {
        let text = patched.text.iter().find(|text| holds(text, site.address)).unwrap();
        let start = starts[starts.partition_point(|start| *start <= site.address) - 1];
        assert_eq!(decode(text, start).near_branch_target(), site.start);
    }
}

fn is_text(segment: &metaos_linker::rewrite::Loaded<'_>, patched: &Patched, bias: u64) -> bool {
    patched.text.iter().any(|text| text.start == segment.start + bias)
}

/// A stub is the moved instructions, a `lea` and jumps.
fn check_stubs(program: &LinuxProgram<'_>, patched: &Patched, start: u64, bias: u64) {
    let stubs = Text { start, bytes: patched.stubs.clone() };
    for site in &patched.sites {
        let mut address = site.start;
        let mut moved = site.moved.iter().peekable();
        while address < site.end {
            let instruction = decode(&stubs, address);
            assert!(!instruction.is_invalid());
            match moved.next_if(|entry| entry.stub == address) {
                Some(entry) => {
                    check_moved(program, entry, &instruction, bias);
                    assert_eq!(patched.original(address), Some(entry.original));
                }
                None => assert!(matches!(instruction.mnemonic(), Mnemonic::Lea | Mnemonic::Jmp)),
            }
            address = instruction.next_ip();
        }
        assert!(address == site.end && moved.next().is_none(), "{site:#x?}");
        assert_eq!(patched.original(site.back - 1), Some(site.address));
    }
}

fn check_moved(program: &LinuxProgram<'_>, entry: &Entry, instruction: &Instruction, bias: u64) {
    let offset = entry.original - bias;
    let mut original = original(program, offset);
    let address = |instruction: &Instruction| {
        instruction.is_ip_rel_memory_operand().then(|| instruction.ip_rel_memory_address())
    };
    // Both lead to the same place, which the bias has moved.
    assert_eq!(address(instruction), address(&original).map(|target| target + bias));
    if original.is_ip_rel_memory_operand() {
        original.set_memory_displacement64(instruction.memory_displacement64());
    }
    if instruction.near_branch_target() != 0 {
        assert_eq!(instruction.near_branch_target(), original.near_branch_target() + bias);
        original.set_near_branch64(instruction.near_branch64());
    }
    assert_eq!(original.len(), entry.length);
    // Equality leaves the address of the instruction out.
    assert_eq!(*instruction, original);
}

fn original(program: &LinuxProgram<'_>, address: u64) -> Instruction {
    let holds = |start: u64, bytes: &[u8]| (start..start + bytes.len() as u64).contains(&address);
    let segment = program.segments().find(|segment| holds(segment.start, segment.bytes)).unwrap();
    let offset = usize::try_from(address - segment.start).unwrap();
    Decoder::with_ip(64, &segment.bytes[offset..], address, DecoderOptions::NONE).decode()
}

fn holds(text: &Text, address: u64) -> bool {
    (text.start..text.start + text.bytes.len() as u64).contains(&address)
}

fn decode(text: &Text, address: u64) -> Instruction {
    let offset = usize::try_from(address - text.start).unwrap();
    Decoder::with_ip(64, &text.bytes[offset..], address, DecoderOptions::NONE).decode()
}

//! Windows of made-up programs: each shape of code around a `syscall`, and what becomes of it.

use iced_x86::code_asm::{CodeAssembler, CodeLabel, eax, ecx, edi, qword_ptr, r8, rax, rcx};
use iced_x86::{Code, Decoder, DecoderOptions, Register};
use metaos_linker::rewrite::{LinuxProgram, Patched, Placement, Plan, Site, Trap, Verdict};
use object::elf;

use crate::builder::{Elf, Segment, Symbol};

const TEXT: u64 = 0x40_1000;
const DATA: u64 = 0x40_3000;
const STUBS: u64 = 0x41_0000;
const FAR: u64 = 0x6000_0000_0000;

/// A program of what `write` assembles, in which `data` is read-only.
fn program(write: impl FnOnce(&mut CodeAssembler), data: &[u8]) -> Vec<u8> {
    let mut code = CodeAssembler::new(64).unwrap();
    write(&mut code);
    elf(&code.assemble(TEXT).unwrap(), data).build()
}

fn elf(text: &[u8], data: &[u8]) -> Elf {
    Elf {
        kind: elf::ET_EXEC,
        machine: elf::EM_X86_64,
        entry: TEXT,
        segments: vec![Segment::text(TEXT, text), Segment::read_only(DATA, data)],
        note: Vec::new(),
        other_headers: Vec::new(),
        symbols: vec![Symbol { name: "_start", address: TEXT, length: text.len() as u64 }],
        alignment: 4096,
    }
}

fn only_site(file: &[u8]) -> Site {
    let program = LinuxProgram::parse(file).unwrap();
    let plan = Plan::of(&program);
    let [site] = plan.sites() else { panic!("{:?}", plan.sites()) };
    site.clone()
}

fn emitted(file: &[u8], dispatcher: u64) -> Patched {
    let program = LinuxProgram::parse(file).unwrap();
    Plan::of(&program).emit(&Placement { bias: 0, stubs: STUBS }, |_| dispatcher).unwrap()
}

fn window(site: &Site) -> (u64, u64) {
    let Verdict::Patched(window) = &site.verdict else { panic!("{site:?}") };
    (window.range.start - TEXT, window.range.end - TEXT)
}

#[test]
fn what_follows_is_taken_first() {
    let site = only_site(&program(
        |code| {
            code.mov(eax, 39).unwrap();
            code.syscall().unwrap();
            code.cmp(rax, -4096).unwrap();
            code.ret().unwrap();
        },
        &[],
    ));
    assert_eq!((window(&site), site.number), ((5, 13), Some(39)));
}

#[test]
fn what_precedes_is_taken_before_a_call() {
    let site = only_site(&program(
        |code| {
            code.xor(eax, eax).unwrap();
            code.mov(edi, 1).unwrap();
            code.syscall().unwrap();
            code.call(TEXT).unwrap();
        },
        &[],
    ));
    assert_eq!((window(&site), site.number), ((2, 9), Some(0)));
}

#[test]
fn padding_behind_a_return_makes_room() {
    let site = only_site(&program(
        |code| {
            code.jmp(TEXT + 2).unwrap();
            code.syscall().unwrap();
            code.ret().unwrap();
            code.nop().unwrap();
            code.nop().unwrap();
        },
        &[],
    ));
    assert_eq!(window(&site), (2, 7));
}

/// A site whose window starts at 5; `lead` may make the instruction behind the site a target.
fn entered(lead: impl FnOnce(&mut CodeAssembler, CodeLabel), data: &[u8]) -> Site {
    only_site(&program(
        |code| {
            let mut behind = code.create_label();
            code.mov(eax, 60).unwrap();
            code.syscall().unwrap();
            code.set_label(&mut behind).unwrap();
            code.cmp(rax, -4096).unwrap();
            lead(code, behind);
            code.ret().unwrap();
        },
        data,
    ))
}

#[test]
fn no_target_lies_in_a_window() {
    // `mov` and `syscall` alone are a window, then.
    let before = (0, 7);
    assert_eq!(window(&entered(|_, _| {}, &[])), (5, 13));
    assert_eq!(window(&entered(|code, behind| code.jne(behind).unwrap(), &[])), before, "branch");
    let pointer = [&[0; 3], (TEXT + 7).to_le_bytes().as_slice()].concat();
    assert_eq!(window(&entered(|_, _| {}, &pointer)), before, "pointer in the data, not aligned");
    assert_eq!(window(&entered(|code, _| code.mov(ecx, 0x40_1007).unwrap(), &[])), before, "immediate");
    let lea = |code: &mut CodeAssembler, behind| code.lea(rcx, qword_ptr(behind)).unwrap();
    assert_eq!(window(&entered(lea, &[])), before, "address taken");
}

#[test]
fn jump_tables_of_distances_are_read() {
    let distance =
        |target: u64| i32::try_from(target.cast_signed() - DATA.cast_signed()).unwrap().to_le_bytes();
    let table = [distance(TEXT), distance(TEXT + 7), [0x7f; 4]].concat();
    let lead = |code: &mut CodeAssembler, _| code.lea(rcx, qword_ptr(DATA)).unwrap();
    assert_eq!(window(&entered(lead, &table)), (0, 7));
}

#[test]
fn a_site_that_is_entered_itself_has_no_constant_number() {
    let site = only_site(&program(
        |code| {
            let mut again = code.create_label();
            code.mov(eax, 1).unwrap();
            code.set_label(&mut again).unwrap();
            code.syscall().unwrap();
            code.test(rax, rax).unwrap();
            code.jne(again).unwrap();
            code.ret().unwrap();
        },
        &[],
    ));
    assert_eq!((window(&site), site.number), ((5, 10), None));
}

#[test]
fn a_site_without_room_traps() {
    let site = only_site(&program(
        |code| {
            let mut behind = code.create_label();
            let mut start = code.create_label();
            code.set_label(&mut start).unwrap();
            code.syscall().unwrap();
            code.set_label(&mut behind).unwrap();
            code.jne(behind).unwrap();
            code.jmp(start).unwrap();
        },
        &[],
    ));
    assert_eq!(site.verdict, Verdict::Trapped(Trap::Immovable));
}

#[test]
fn two_windows_never_meet() {
    let file = program(
        |code| {
            for _ in 0..8 {
                code.mov(eax, 24).unwrap();
                code.syscall().unwrap();
            }
            code.ret().unwrap();
        },
        &[],
    );
    let parsed = LinuxProgram::parse(&file).unwrap();
    let plan = Plan::of(&parsed);
    // The last has nothing behind it, and what is before it belongs to the one before.
    let (last, sites) = plan.sites().split_last().unwrap();
    assert_eq!((sites.len(), &last.verdict), (7, &Verdict::Trapped(Trap::NoRoom)));
    let windows: Vec<_> = sites.iter().map(window).collect();
    assert!(windows.is_sorted_by(|a, b| a.1 <= b.0), "{windows:?}");
}

#[test]
fn the_bytes_of_a_syscall_within_an_instruction_are_no_site() {
    let file = program(
        |code| {
            code.mov(eax, 0x050f_050f).unwrap();
            code.ret().unwrap();
        },
        &[],
    );
    assert!(Plan::of(&LinuxProgram::parse(&file).unwrap()).sites().is_empty());
}

#[test]
fn without_sections_and_symbols_nothing_is_patched() {
    let mut file = program(
        |code| {
            code.mov(eax, 60).unwrap();
            code.syscall().unwrap();
        },
        &[],
    );
    // `e_shoff`, `e_shnum` and `e_shstrndx`.
    file[40..48].fill(0);
    file[60..64].fill(0);
    assert_eq!(only_site(&file).verdict, Verdict::Trapped(Trap::Unnamed));
}

#[test]
fn a_stub_is_as_its_contract_says() {
    let file = program(
        |code| {
            let mut constant = code.create_label();
            code.mov(eax, 39).unwrap();
            code.syscall().unwrap();
            code.mov(r8, qword_ptr(constant)).unwrap();
            code.ret().unwrap();
            code.set_label(&mut constant).unwrap();
            code.dq(&[0]).unwrap();
        },
        &[],
    );
    let patched = emitted(&file, FAR);
    let (pointer, stub) = patched.stubs.split_at(8);
    assert_eq!(pointer, FAR.to_le_bytes());
    let decoder = Decoder::with_ip(64, stub, STUBS + 8, DecoderOptions::NONE);
    let [lea, call, moved, jump] = decoder.into_iter().collect::<Vec<_>>()[..] else { panic!("{stub:x?}") };
    let back = STUBS + 8 + 7 + 6;
    assert_eq!((lea.code(), lea.op0_register()), (Code::Lea_r64_m, Register::RCX));
    assert_eq!((lea.ip_rel_memory_address(), moved.ip()), (back, back));
    assert_eq!((call.code(), call.ip_rel_memory_address()), (Code::Jmp_rm64, STUBS));
    assert_eq!((moved.op0_register(), moved.ip_rel_memory_address()), (Register::R8, TEXT + 15));
    assert_eq!((jump.code(), jump.near_branch_target()), (Code::Jmp_rel32_64, TEXT + 14));

    let site = &patched.sites[0];
    assert_eq!((site.address, site.number, site.start, site.back), (TEXT + 5, Some(39), STUBS + 8, back));
    assert_eq!(patched.original(call.ip()), Some(TEXT + 5));
    assert_eq!(patched.original(back), Some(TEXT + 7));
    assert_eq!(patched.original(jump.ip()), Some(TEXT + 14));
    assert_eq!(patched.original(site.end), None);
    assert_eq!(
        emitted(&file, STUBS + 0x1000).stubs.len(),
        patched.stubs.len() - 1,
        "a near one is jumped to"
    );
}

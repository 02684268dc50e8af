//! Crash reports: stacks are walked and named, whatever a machine ships.
//!
//! The program is `data/frames.S`, which never runs; its stacks are laid out here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use abi::control::CrashKind;
use abi::layout;
use abi::upcall::Registers;
use metaos_runner::control::CrashRecord;
use metaos_runner::{CrashReport, Symbols};
use object::{Object, ObjectSymbol};
use tempfile::TempDir;

const PAGE_FAULT: u32 = 14;
const WRITE_BY_RING_3: u64 = 6;
/// Where the stacks of these tests lie.
const STACK: u64 = layout::MAIN_STACK.0 + 0x4000;

struct Program {
    _directory: TempDir,
    path: PathBuf,
    addresses: HashMap<String, u64>,
}

impl Program {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("frames.elf");
        let made = Command::new("cc")
            .args([
                "-g",
                "-nostdlib",
                "-static",
                "-no-pie",
                "-Wl,--build-id=none,-Ttext=0x600000001000,-e,start",
            ])
            .args(["-x", "assembler", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/frames.S"), "-o"])
            .arg(&path)
            .output()
            .expect("there is a C compiler");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let bytes = std::fs::read(&path).expect("the program was written");
        let file = object::File::parse(&*bytes).expect("the linker writes ELF");
        let address =
            |symbol: object::Symbol<'_, '_>| Some((symbol.name().ok()?.to_owned(), symbol.address()));
        let addresses = file.symbols().filter_map(address).collect();
        Self { _directory: directory, path, addresses }
    }

    fn address(&self, name: &str) -> u64 {
        self.addresses[name]
    }

    fn explain(&self, crash: CrashRecord) -> CrashReport {
        CrashReport::new(crash, &Symbols { guest: Some(self.path.clone()), nucleus: None, program: None })
    }
}

fn fault(rip: u64, stack: &[u64]) -> CrashRecord {
    CrashRecord {
        kind: Some(CrashKind::Fault),
        vector: PAGE_FAULT,
        error_code: WRITE_BY_RING_3,
        address: 8,
        registers: Registers { rip, rsp: STACK, ..Registers::default() },
        stack_start: STACK,
        text: String::new(),
        stack: stack.iter().flat_map(|word| word.to_le_bytes()).collect(),
    }
}

fn names(report: &CrashReport) -> Vec<&str> {
    report.backtrace.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect()
}

/// The stack of inner <- middle <- outer <- start as the code of these functions leaves it.
fn nested(program: &Program) -> CrashRecord {
    let stack = [
        program.address("after_inner"),
        0xbbbb,
        program.address("after_middle"),
        1,
        2,
        3,
        program.address("after_outer"),
    ];
    let mut crash = fault(program.address("inner"), &stack);
    crash.registers.rbp = STACK + 8;
    crash
}

#[test]
fn a_stack_is_walked_by_unwind_tables_and_named_by_lines() {
    let program = Program::new();
    let report = program.explain(nested(&program));
    assert_eq!(names(&report), ["inner", "middle", "outer", "start"]);
    for frame in &report.backtrace {
        let (file, line) = frame.location.as_ref().expect("the assembler wrote lines");
        assert!(file.ends_with("frames.S"), "{file}");
        assert!(*line > 0);
    }
    assert_eq!(report.function(), Some("inner"));
    let text = report.to_string();
    assert!(text.starts_with("the guest crashed: null pointer write at 0x8\n"), "{text}");
    assert!(text.contains("   3  start"), "{text}");
}

#[test]
fn a_system_call_is_named_with_its_number_and_what_is_wrong_with_it() {
    let program = Program::new();
    let cases = [
        ("after_gate", 257, "Linux call `openat` (257), which a guest may not make"),
        ("after_gate", 9, "Linux call `mmap` (9), with arguments that a guest may not pass"),
        ("after_gate", 0x4000_0002, "x32 call `open` (0x40000002), which a guest may not make"),
        ("after_syscall", 41, "`syscall` outside the gate, in text page of entry (function "),
        ("after_syscall", 41, "): Linux call `socket` (41)"),
        ("after_interrupt", 5, "software interrupt `int $0x80`, in text page of entry (function "),
        ("after_interrupt", 5, "): Linux call `open` of 32 bits (5)"),
    ];
    for (place, number, expected) in cases {
        let mut crash = fault(program.address(place), &[]);
        crash.kind = Some(CrashKind::ForeignSyscall);
        crash.registers.rax = number;
        let headline = program.explain(crash).headline;
        assert!(headline.contains(expected), "{headline}");
    }
}

#[test]
fn a_call_of_null_is_walked_from_its_caller() {
    let program = Program::new();
    let mut crash = nested(&program);
    crash.registers.rip = 0;
    crash.error_code = 0x14;
    crash.address = 0;
    let report = program.explain(crash);
    assert_eq!(names(&report), ["?", "middle", "outer", "start"]);
    assert_eq!(report.headline, "null pointer called (jump to 0x0)");
}

#[test]
fn a_stack_whose_top_is_gone_is_walked_as_far_as_it_is_known() {
    let program = Program::new();
    let mut crash = nested(&program);
    // The guard page starts 8 bytes above rsp: only the return address of `inner` is missing.
    crash.stack_start += 8;
    crash.stack.drain(..8);
    assert_eq!(names(&program.explain(crash)), ["inner"]);
    let mut short = nested(&program);
    short.stack.truncate(24);
    assert_eq!(names(&program.explain(short)), ["inner", "middle", "outer"]);
}

#[test]
fn expressions_and_interrupted_frames_are_followed() {
    let program = Program::new();
    let by_expression = [STACK + 24, 0, program.address("after_outer")];
    let report = program.explain(fault(program.address("expression"), &by_expression));
    assert_eq!(names(&report), ["expression", "start"]);
    let interrupt =
        [program.address("interrupted"), 0x33, 0x202, STACK + 40, 0x2b, program.address("after_outer")];
    let report = program.explain(fault(program.address("handler"), &interrupt));
    assert_eq!(names(&report), ["handler", "interrupted", "start"]);
}

#[test]
fn a_stack_that_leads_round_in_a_circle_ends() {
    let program = Program::new();
    let circle = [program.address("endless") + 1; 4];
    let report = program.explain(fault(program.address("endless"), &circle));
    assert!(report.backtrace.len() <= 2, "{:?}", names(&report));
}

#[test]
fn random_stacks_and_registers_never_panic() {
    let program = Program::new();
    let symbols: Vec<u64> = program.addresses.values().copied().collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let value = state >> 16;
        match value % 4 {
            0 => symbols[usize::try_from(value / 4).unwrap_or(0) % symbols.len()],
            1 => STACK + value % 512,
            2 => u64::MAX - value % 64,
            _ => value,
        }
    };
    for _ in 0..100 {
        let stack: Vec<u64> = (0..32).map(|_| random()).collect();
        let mut crash = fault(random(), &stack);
        crash.registers.rsp = random();
        crash.registers.rbp = random();
        crash.stack_start = random();
        crash.address = random();
        crash.error_code = random() % 64;
        crash.vector = u32::try_from(random() % 24).unwrap_or(0);
        assert!(program.explain(crash).backtrace.len() <= 64);
    }
}

#[test]
fn what_lies_at_an_address_is_named() {
    let program = Program::new();
    let crime = |vector: u32, error_code: u64, address: u64, rip: u64| {
        let crash = CrashRecord { vector, error_code, address, ..fault(rip, &[]) };
        program.explain(crash).headline
    };
    let inner = program.address("inner");
    let constant = program.address("constant");
    let text = crime(PAGE_FAULT, 7, inner, inner);
    assert!(text.starts_with("write to text page of ") && text.contains("(function inner)"), "{text}");
    let text = crime(PAGE_FAULT, 7, constant, inner);
    assert!(text.starts_with("write to read-only page of ") && text.contains("(static constant)"), "{text}");
    let text = crime(PAGE_FAULT, 0x15, constant, constant);
    assert!(text.starts_with("jump to page that is not executable: "), "{text}");
    assert_eq!(crime(13, 0, 0, program.address("privileged")), "privileged instruction `hlt`");
    assert_eq!(crime(6, 0, 0, program.address("expression")), "abort (`ud2`)");
}

#[test]
fn a_report_without_symbols_says_how_to_get_them() {
    let report = CrashReport::new(fault(0x6000_0000_1000, &[]), &Symbols::default()).to_string();
    assert!(report.contains("0x600000001000"), "{report}");
    assert!(report.contains("no symbols: "), "{report}");
}

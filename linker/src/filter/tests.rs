//! The filter, carried out by an interpreter of its own and held against the rules written a second time.

use abi::hosted::MAX_FILTER;

use super::allowed::CALLS;
use super::filter_of_gate;

const GATE: u64 = 0x6000_0001_2345;
const BEHIND_GATE: u64 = GATE + 2;

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const X32: u32 = 0x4000_0000;

/// What a filter returns (`linux/seccomp.h`).
const ALLOW: u32 = 0x7fff_0000;
const TRAP: u32 = 0x0003_0000;
const KILL: u32 = 0x8000_0000;

const READ: u32 = 0;
const WRITE: u32 = 1;
const MMAP: u32 = 9;
const MPROTECT: u32 = 10;
const IOCTL: u32 = 16;
const OPEN: u32 = 2;

/// `struct seccomp_data`.
#[derive(Clone, Copy, Debug)]
struct Data {
    number: u32,
    architecture: u32,
    instruction_pointer: u64,
    arguments: [u64; 6],
}

impl Data {
    fn from_gate(number: u32, arguments: [u64; 6]) -> Self {
        Self { number, architecture: X86_64, instruction_pointer: BEHIND_GATE, arguments }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.number.to_le_bytes(), self.architecture.to_le_bytes()].concat();
        bytes.extend(self.instruction_pointer.to_le_bytes());
        bytes.extend(self.arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        bytes
    }
}

/// Carries the program out and returns what it returns, and how many instructions that took.
fn run(program: &[u64], data: &Data) -> (u32, usize) {
    let data = data.bytes();
    let (mut accumulator, mut next, mut steps) = (0_u32, 0_usize, 0);
    // Jumps go forward only, so this ends.
    loop {
        let [code_low, code_high, jump_true, jump_false, operand @ ..] = program[next].to_le_bytes();
        let operand = u32::from_le_bytes(operand);
        let jump = |holds| usize::from(if holds { jump_true } else { jump_false });
        next += 1;
        steps += 1;
        match u16::from_le_bytes([code_low, code_high]) {
            0x20 => {
                let start = usize::try_from(operand).unwrap();
                accumulator = u32::from_le_bytes(data[start..start + 4].try_into().unwrap());
            }
            0x54 => accumulator &= operand,
            0x05 => next += usize::try_from(operand).unwrap(),
            0x35 => next += jump(accumulator >= operand),
            0x15 => next += jump(accumulator == operand),
            0x06 => return (operand, steps),
            code => panic!("an instruction that the filter has no use for: {code:#x}"),
        }
    }
}

fn outcome(data: &Data) -> u32 {
    run(&filter_of_gate(GATE), data).0
}

/// The rules, as they stand in words in the specification.
fn is_allowed(number: u32, arguments: &[u64; 6]) -> bool {
    let [first, second, third, fourth, fifth, _] = *arguments;
    let descriptor = first & 0xffff_ffff;
    let is_data = |protection: u64| protection <= 3;
    match number {
        READ => [0, 3, 5].contains(&descriptor),
        WRITE => [1, 2, 3, 5].contains(&descriptor),
        // readv, writev, recvfrom, sendmsg, recvmmsg, sendmmsg
        19 | 20 | 45 | 46 | 299 | 307 => descriptor == 4,
        // MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE
        MMAP => is_data(third) && fourth == 0x10_4022 && fifth & 0xffff_ffff == 0xffff_ffff,
        MPROTECT => is_data(third),
        IOCTL => descriptor == 4 && second & 0xffff_ffff == 0x4004_54d0,
        // munmap, rt_sigreturn, mincore, setitimer, clock_gettime, exit_group, ppoll, getrandom
        11 | 15 | 27 | 38 | 228 | 231 | 271 | 318 => true,
        _ => false,
    }
}

/// Arguments that mean something to one call or another, and neighbours of them.
const ARGUMENTS: [u64; 22] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    0x22,
    0x32,
    0x4022,
    0x10_4022,
    0x10_4032,
    0x1_0010_4022,
    0x4004_54d0,
    0x4004_54d1,
    0x1_0000_0000,
    0x1_0000_0004,
    0xffff_ffff,
    0x100_0003,
    u64::MAX,
];

fn arguments(numbers: &mut fastrand::Rng) -> [u64; 6] {
    std::array::from_fn(
        |_| {
            if numbers.u8(..) < 8 { numbers.u64(..) } else { numbers.choice(ARGUMENTS).unwrap() }
        },
    )
}

#[test]
fn the_filter_does_what_the_rules_say() {
    let program = filter_of_gate(GATE);
    let mut numbers = fastrand::Rng::with_seed(1);
    let mut allowed = 0;
    for round in 0..400_000 {
        let number = if round % 2 == 0 {
            numbers.u32(0..512)
        } else {
            calls().nth(numbers.usize(0..CALLS.len())).unwrap()
        };
        let data = Data::from_gate(number, arguments(&mut numbers));
        let expected = if is_allowed(number, &data.arguments) { ALLOW } else { TRAP };
        assert_eq!(run(&program, &data).0, expected, "{data:x?}");
        allowed += usize::from(expected == ALLOW);
    }
    assert!(allowed > 50_000, "{allowed} of the calls were allowed");
}

#[test]
fn no_more_calls_are_allowed_than_the_list_has() {
    let with_some_arguments = |number| {
        let descriptors = [0, 1, 2, 3, 4, 5].map(|first| [first, 0x4004_54d0, 3, 0x10_4022, u64::MAX, 0]);
        descriptors.iter().any(|arguments| outcome(&Data::from_gate(number, *arguments)) == ALLOW)
    };
    let allowed: Vec<u32> = (0..1024).filter(|number| with_some_arguments(*number)).collect();
    let mut listed: Vec<u32> = calls().collect();
    listed.sort_unstable();
    assert_eq!(allowed, listed);
}

#[test]
fn a_call_from_elsewhere_is_trapped_whatever_it_is() {
    let beside =
        [0, 1, GATE - 1, GATE, GATE + 1, GATE + 3, BEHIND_GATE + (1 << 32), BEHIND_GATE & 0xffff_ffff];
    for instruction_pointer in beside {
        for number in 0..512 {
            for architecture in [X86_64, I386, AARCH64] {
                let arguments = [4, 0x4004_54d0, 3, 0x10_4022, u64::MAX, 0];
                let data = Data { number, architecture, instruction_pointer, arguments };
                assert_eq!(outcome(&data), TRAP, "{data:x?}");
            }
        }
    }
}

#[test]
fn a_call_of_another_architecture_never_passes() {
    // Behind the gate's `syscall` no such call can be: the process ends without a report.
    for number in 0..512 {
        for architecture in [I386, AARCH64, 0, u32::MAX] {
            let data = Data { architecture, ..Data::from_gate(number, [0; 6]) };
            assert_eq!(outcome(&data), KILL, "{data:x?}");
        }
    }
}

#[test]
fn a_call_with_the_number_of_x32_is_trapped() {
    for number in 0..1024 {
        let data = Data::from_gate(number | X32, [4, 0x4004_54d0, 3, 0x10_4022, u64::MAX, 0]);
        assert_eq!(outcome(&data), TRAP, "{data:x?}");
    }
}

#[test]
fn no_page_becomes_executable() {
    let map = |protection| [0x7200_0000_0000, 0x1000, protection, 0x10_4022, u64::MAX, 0];
    assert_eq!(outcome(&Data::from_gate(MMAP, map(3))), ALLOW);
    assert_eq!(outcome(&Data::from_gate(MPROTECT, map(1))), ALLOW);
    for protection in (0..64).map(|bit| 1 << bit).filter(|bit| *bit > 2) {
        for base in 0..4 {
            assert_eq!(outcome(&Data::from_gate(MMAP, map(base | protection))), TRAP);
            assert_eq!(outcome(&Data::from_gate(MPROTECT, map(base | protection))), TRAP);
        }
    }
}

#[test]
fn nothing_is_mapped_but_fresh_memory() {
    // One bit of the flags more or less: shared, over what is there, of a file, growing down, in large pages.
    for bit in 0..64 {
        let arguments = [0x7200_0000_0000, 0x1000, 3, 0x10_4022 ^ (1 << bit), u64::MAX, 0];
        assert_eq!(outcome(&Data::from_gate(MMAP, arguments)), TRAP, "bit {bit}");
    }
    assert_eq!(outcome(&Data::from_gate(MMAP, [0x7200_0000_0000, 0x1000, 3, 0x10_4022, 4, 0])), TRAP);
}

#[test]
fn nothing_is_opened() {
    assert_eq!(outcome(&Data::from_gate(OPEN, [GATE, 0, 0, 0, 0, 0])), TRAP);
}

#[test]
fn the_filter_is_short() {
    let program = filter_of_gate(GATE);
    println!("{} instructions for {} calls", program.len(), CALLS.len());
    assert!(program.len() <= MAX_FILTER);
    for (call, _) in CALLS {
        let number = u32::try_from(call.id()).unwrap();
        let first = match number {
            READ => 3,
            WRITE => 1,
            _ => 4,
        };
        let arguments = [first, 0x4004_54d0, 3, 0x10_4022, u64::MAX, 0];
        let (outcome, steps) = run(&program, &Data::from_gate(number, arguments));
        println!("{:<14} {steps} instructions", call.name());
        assert_eq!(outcome, ALLOW);
        assert!(steps <= 40, "{} takes {steps} instructions", call.name());
    }
}

fn calls() -> impl Iterator<Item = u32> {
    CALLS.iter().map(|(call, _)| u32::try_from(call.id()).unwrap())
}

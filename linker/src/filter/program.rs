//! The filter as a program in classic BPF (Linux, `Documentation/userspace-api/seccomp_filter.rst`).
//!
//! A crate makes the part that knows calls and arguments; it has no notion of where a call comes from, so that part
//! stands before it: whoever does not call through the gate is trapped, whatever is called and for whatever
//! architecture. A trap is the signal `SIGSYS`, which the guest answers with its report.
//!
//! The kernel runs the program at every call, and the crate's compares the number with one after the other. So the calls
//! are parted into groups by their numbers, and each group is a program of the crate's, to which a few jumps lead.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, sock_filter};

use super::allowed;

/// Instructions of classic BPF (`linux/bpf_common.h`): load a word of the data, jump if equal, if at least, always, return
/// a constant.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// Offsets of `nr` and of `instruction_pointer` in `struct seccomp_data`.
const NUMBER: u32 = 0;
const INSTRUCTION_POINTER: u32 = 8;
/// Bytes of the `syscall` instruction: Linux tells the address behind it.
const SYSCALL_BYTES: u64 = 2;

/// Calls whose numbers are compared one after the other.
const GROUP: usize = 5;

/// The calls with numbers from `first` up to that of the next group.
struct Group {
    first: u32,
    program: BpfProgram,
}

/// Makes the filter for the gate at `gate`.
pub(super) fn compile(gate: u64) -> Vec<u64> {
    let after = gate.wrapping_add(SYSCALL_BYTES);
    let groups = groups();
    let way = from_the_gate_only(after).into_iter().chain(to_the_group(&groups));
    way.chain(groups.into_iter().flat_map(|group| group.program))
        .map(|instruction| encode(&instruction))
        .collect()
}

/// Traps calls from elsewhere; goes on behind its end with others.
fn from_the_gate_only(after: u64) -> [sock_filter; 5] {
    let [low, high] = [after & 0xffff_ffff, after >> 32].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
    [
        instruction(LOAD, 0, 0, INSTRUCTION_POINTER),
        instruction(JUMP_IF_EQUAL, 0, 2, low),
        instruction(LOAD, 0, 0, INSTRUCTION_POINTER + 4),
        instruction(JUMP_IF_EQUAL, 1, 0, high),
        instruction(RETURN, 0, 0, SeccompAction::Trap.into()),
    ]
}

/// Jumps to the group of the call's number; the groups follow.
fn to_the_group(groups: &[Group]) -> Vec<sock_filter> {
    let mut jumps = vec![instruction(LOAD, 0, 0, NUMBER)];
    // The last group first: the numbers of the others are below its own.
    for (index, group) in groups.iter().enumerate().skip(1).rev() {
        let other_jumps = 2 * (index - 1);
        let skipped = groups[..index].iter().fold(other_jumps, |sum, before| sum + before.program.len());
        let skipped = u32::try_from(skipped).expect("a filter is short");
        jumps.push(instruction(JUMP_IF_AT_LEAST, 0, 1, group.first));
        jumps.push(instruction(JUMP, 0, 0, skipped));
    }
    jumps
}

fn groups() -> Vec<Group> {
    let rules: Vec<_> = allowed::rules().into_iter().collect();
    rules.chunks(GROUP).map(|calls| Group { first: number(calls[0].0), program: program(calls) }).collect()
}

fn program(calls: &[(i64, Vec<SeccompRule>)]) -> BpfProgram {
    let calls = calls.iter().cloned().collect();
    let filter = SeccompFilter::new(calls, SeccompAction::Trap, SeccompAction::Allow, TargetArch::x86_64);
    let program = filter.and_then(BpfProgram::try_from);
    program.expect("the list is short, and what it allows is not what it does otherwise")
}

fn number(call: i64) -> u32 {
    u32::try_from(call).expect("calls count from 0")
}

fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> sock_filter {
    sock_filter { code, jt: jump_true, jf: jump_false, k: operand }
}

fn encode(instruction: &sock_filter) -> u64 {
    let sock_filter { code, jt, jf, k } = *instruction;
    u64::from(code) | u64::from(jt) << 16 | u64::from(jf) << 24 | u64::from(k) << 32
}

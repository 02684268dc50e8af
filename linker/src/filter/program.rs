//! The filter as a program in classic BPF (Linux, `Documentation/userspace-api/seccomp_filter.rst`).
//!
//! A crate makes the part that knows calls and arguments; it has no notion of where a call comes from, so that part
//! stands before it: whoever does not call through the gate is trapped, whatever is called and for whatever
//! architecture. A trap is the signal `SIGSYS`, which the guest answers with its report.

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};

use super::allowed;

/// Instructions of classic BPF (`linux/bpf_common.h`): load a word of the data, jump if equal, return a constant.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Offset of `instruction_pointer` in `struct seccomp_data`.
const INSTRUCTION_POINTER: u32 = 8;
/// Bytes of the `syscall` instruction: Linux tells the address behind it.
const SYSCALL_BYTES: u64 = 2;

/// Makes the filter for the gate at `gate`.
pub(super) fn compile(gate: u64) -> Vec<u64> {
    let after = gate.wrapping_add(SYSCALL_BYTES);
    from_the_gate_only(after).iter().chain(&allowed_calls()).map(encode).collect()
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

fn allowed_calls() -> BpfProgram {
    let filter =
        SeccompFilter::new(allowed::rules(), SeccompAction::Trap, SeccompAction::Allow, TargetArch::x86_64);
    let program = filter.and_then(BpfProgram::try_from);
    program.expect("the list is short, and what it allows is not what it does otherwise")
}

fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> sock_filter {
    sock_filter { code, jt: jump_true, jf: jump_false, k: operand }
}

fn encode(instruction: &sock_filter) -> u64 {
    let sock_filter { code, jt, jf, k } = *instruction;
    u64::from(code) | u64::from(jt) << 16 | u64::from(jf) << 24 | u64::from(k) << 32
}

//! The entries to ring 0 and the way out, in assembly.
//!
//! A trap pushes a [`super::TrapFrame`], clears the flags that ring 3 could have set to trick us (AC would switch SMAP
//! off, DF would turn string instructions round), saves the x87 and SSE state before any compiled code runs
//! (precompiled `core` uses SSE), and calls [`super::handle`]. Stack from high to low addresses:
//!
//! ```text
//! ss rsp rflags cs rip | error code or 0 | vector | rax rdx rcx rbx rsi rdi rbp r8 .. r15 | pad to 16 | FXSAVE 512
//! ```
//!
//! SYSCALL has no stack of its own: SWAPGS makes the block [`CALL_BLOCK`] reachable for three instructions, with
//! interrupts off. A call from the gate goes to [`super::machine_call`] and back by SYSRET; one from anywhere else
//! takes the way of a trap.

use super::{FloatingPoint, TrapFrame, VECTOR_SYSCALL, handle, machine_call};
use crate::cpu::{USER_CODE, USER_DATA};
use core::arch::global_asm;
use core::sync::atomic::AtomicU64;

/// Distance of two stubs, in bytes.
const STUB_SIZE: u64 = 16;

/// What the SYSCALL entry reaches through GS: top of the call stack, a slot for the caller's stack pointer, the
/// return address of the gate.
#[derive(Debug)]
#[repr(C)]
pub(super) struct CallBlock {
    stack_top: AtomicU64,
    caller_stack: AtomicU64,
    gate_return: AtomicU64,
}

static CALL_BLOCK: CallBlock = CallBlock {
    stack_top: AtomicU64::new(0),
    caller_stack: AtomicU64::new(0),
    gate_return: AtomicU64::new(u64::MAX),
};

global_asm!(
    ".macro PUSH_REGISTERS",
    "push rax",
    "push rdx",
    "push rcx",
    "push rbx",
    "push rsi",
    "push rdi",
    "push rbp",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    ".endm",
    ".macro POP_REGISTERS",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rbp",
    "pop rdi",
    "pop rsi",
    "pop rbx",
    "pop rcx",
    "pop rdx",
    "pop rax",
    ".endm",

    ".section .text.trap_stubs, \"ax\"",
    ".balign 16",
    "trap_stubs:",
    ".set vector, 0",
    ".rept 256",
    // The CPU pushes an error code for 8, 10 to 14, 17, 21, 29 and 30 (SDM 3A table 6-1).
    ".if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)",
    "push 0",
    ".endif",
    "push vector",
    "jmp trap_common",
    ".balign 16",
    ".set vector, vector + 1",
    ".endr",

    "trap_common:",
    "PUSH_REGISTERS",
    "pushfq",
    "and dword ptr [rsp], {keep}",
    "popfq",
    "mov rbx, rsp",
    "mov rdi, rsp",
    "sub rsp, 512",
    "and rsp, -16",
    "fxsave64 [rsp]",
    "mov rsi, rsp",
    "xor ebp, ebp",
    "call {handle}",
    "fxrstor64 [rsp]",
    "mov rsp, rbx",
    "POP_REGISTERS",
    "add rsp, 16",
    "iretq",

    ".global syscall_entry",
    "syscall_entry:",
    "swapgs",
    "mov gs:[8], rsp",
    "mov rsp, gs:[0]",
    "push {user_data}",
    "push qword ptr gs:[8]",
    "push r11",
    "push {user_code}",
    "push rcx",
    "push 0",
    "push {vector_syscall}",
    "cmp rcx, gs:[16]",
    "swapgs",
    "jne trap_common",
    "PUSH_REGISTERS",
    "mov rdi, rsp",
    "sub rsp, 8",
    "call {machine_call}",
    "add rsp, 8",
    "POP_REGISTERS",
    // rcx and r11 still hold what SYSCALL put there: the gate's return address and the flags.
    "mov rsp, [rsp + 40]",
    "sysretq",

    ".global resume",
    "resume:",
    "fxrstor64 [rsi]",
    "mov rsp, rdi",
    "POP_REGISTERS",
    "add rsp, 16",
    "iretq",
    ".text",
    // All flags but AC (bit 18), DF (10) and NT (14).
    keep = const !0x4_4400_i32,
    handle = sym handle,
    machine_call = sym machine_call,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
    vector_syscall = const VECTOR_SYSCALL,
);

unsafe extern "C" {
    fn syscall_entry();
    fn trap_stubs();

    /// Resumes ring 3 with the registers of `frame` and the given x87 and SSE state.
    ///
    /// # Safety
    ///
    /// `frame` names ring-3 selectors, a lower-half `rip` and flags that ring 3 may have; MXCSR in `floating_point` has
    /// no reserved bit set. Both lie where the next entry to ring 0 may overwrite them.
    pub fn resume(frame: &TrapFrame, floating_point: &FloatingPoint) -> !;
}

/// Returns the address of the SYSCALL entry.
#[must_use]
pub fn syscall_entry_address() -> u64 {
    syscall_entry as *const () as u64
}

/// Returns the address of a vector's stub.
#[must_use]
pub(super) fn stub_address(vector: u8) -> u64 {
    trap_stubs as *const () as u64 + STUB_SIZE * u64::from(vector)
}

/// Says where the SYSCALL entry finds its stack and which return address marks a Machine call; returns the address of
/// the block that the hidden GS base must point to.
pub fn prepare_calls(stack_top: u64, gate_return: u64) -> u64 {
    use core::sync::atomic::Ordering::Relaxed;
    CALL_BLOCK.stack_top.store(stack_top, Relaxed);
    CALL_BLOCK.gate_return.store(gate_return, Relaxed);
    (&raw const CALL_BLOCK).expose_provenance() as u64
}

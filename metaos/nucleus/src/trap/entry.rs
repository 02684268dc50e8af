//! The entries to ring 0 and the way out, in assembly.
//!
//! A trap pushes a [`super::TrapFrame`], clears the flags that ring 3 could have set to trick us (AC would switch SMAP
//! off, DF would turn string instructions round), saves the x87 and SSE state before any compiled code runs
//! (precompiled `core` uses SSE), and calls [`super::handle`]. Stack from high to low addresses:
//!
//! ```text
//! ss rsp rflags cs rip | error code or 0 | vector | rflags rip r15 .. r8 rsp rbp rdi rsi rbx rcx rdx rax |
//! pad to 16 | FXSAVE 512
//! ```
//!
//! so that the registers stand in the order of the contract ([`abi::upcall::Registers`]). The way out writes `rsp`,
//! `rip` and `rflags` of these over what the CPU pushed.
//!
//! SYSCALL has no stack of its own: SWAPGS makes the block [`CALL_BLOCK`] reachable for a few instructions, with
//! interrupts off. A call from the gate goes to [`dispatch`] and back by SYSRET; one from anywhere else
//! takes the way of a trap.

use super::{FloatingPoint, TrapFrame, handle};
use crate::calls::dispatch;
use crate::cpu::{USER_CODE, USER_DATA};
use abi::upcall::VECTOR_SYSCALL;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Distance of two stubs, in bytes: two pushes and a jump take no more.
const STUB_SIZE: u64 = 12;

/// What the SYSCALL entry reaches through GS: top of the call stack, a slot for the caller's stack pointer, the
/// return address of the gate.
static CALL_BLOCK: [AtomicU64; 3] = [const { AtomicU64::new(u64::MAX) }; 3];

global_asm!(
    // From the vector on the stack to a whole frame; and back to what the CPU pushed. The copies are of `rflags`, `rip`
    // and `rsp`, which the CPU pushed 32, 16 and 40 bytes above the vector.
    ".macro PUSH_REGISTERS",
    "push qword ptr [rsp + 32]; push qword ptr [rsp + 24]",
    "push r15; push r14; push r13; push r12; push r11; push r10; push r9; push r8",
    "push qword ptr [rsp + 120]; push rbp; push rdi; push rsi; push rbx; push rcx; push rdx; push rax",
    ".endm",
    ".macro POP_REGISTERS",
    "pop rax; pop rdx; pop rcx; pop rbx; pop rsi; pop rdi; pop rbp; pop qword ptr [rsp + 120]",
    "pop r8; pop r9; pop r10; pop r11; pop r12; pop r13; pop r14; pop r15",
    "pop qword ptr [rsp + 24]; pop qword ptr [rsp + 32]",
    "add rsp, 16",
    ".endm",

    ".section .text.trap_stubs, \"ax\"; .balign 16",
    "trap_stubs:",
    ".set vector, 0; .rept 256",
    // The CPU pushes an error code for 8, 10 to 14, 17, 21, 29 and 30 (SDM 3A table 6-1).
    ".if vector > 30 || !((1 << vector) & {with_error_code})",
    "push 0",
    ".endif",
    "push vector; jmp trap_common",
    ".set vector, vector + 1; .org trap_stubs + {stub_size} * vector, 0xcc",
    ".endr",

    "trap_common:",
    "PUSH_REGISTERS",
    "pushfq; and dword ptr [rsp], {keep}; popfq",
    "mov rbx, rsp; mov rdi, rsp",
    "sub rsp, 512; and rsp, -16; fxsave64 [rsp]; mov rsi, rsp",
    "xor ebp, ebp; call {handle}",
    "mov rdi, rbx; mov rsi, rsp",
    ".global resume",
    "resume:",
    "fxrstor64 [rsi]; mov rsp, rdi",
    "POP_REGISTERS",
    "iretq",

    ".global syscall_entry",
    "syscall_entry:",
    "swapgs; mov gs:[8], rsp; mov rsp, gs:[0]",
    "push {user_data}; push qword ptr gs:[8]; push r11; push {user_code}; push rcx",
    "push 0; push {vector_syscall}",
    "cmp rcx, gs:[16]; swapgs; jne trap_common",
    "PUSH_REGISTERS",
    "mov rdi, rsp; sub rsp, 8; xor ebp, ebp; call {dispatch}; add rsp, 8",
    "POP_REGISTERS",
    // rcx and r11 hold again what SYSCALL put there: the gate's return address and the flags.
    "mov rsp, [rsp + 24]; sysretq",
    ".text",
    stub_size = const STUB_SIZE,
    with_error_code = const 0x6022_7d00,
    // All flags but AC (bit 18), DF (10) and NT (14).
    keep = const !0x4_4400_i32,
    handle = sym handle,
    dispatch = sym dispatch,
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
    pub(crate) fn resume(frame: &mut TrapFrame, floating_point: &FloatingPoint) -> !;
}

/// Returns the address of the SYSCALL entry.
pub(crate) fn syscall_entry_address() -> u64 {
    syscall_entry as *const () as u64
}

/// Returns the address of a vector's stub.
pub(super) fn stub_address(vector: u64) -> u64 {
    trap_stubs as *const () as u64 + STUB_SIZE * vector
}

/// Says where the SYSCALL entry finds its stack and which return address marks a Machine call; returns the address of
/// the block that the hidden GS base must point to.
pub(crate) fn prepare_calls(stack_top: u64, gate_return: u64) -> u64 {
    CALL_BLOCK[0].store(stack_top, Relaxed);
    CALL_BLOCK[2].store(gate_return, Relaxed);
    (&raw const CALL_BLOCK).expose_provenance() as u64
}

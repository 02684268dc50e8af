//! The ways between the guest's code and signal handlers, in assembly.
//!
//! An upcall leaves the kernel's signal frame where it is, on the signal stack, enters the guest's handler on the guest's
//! stack, and comes back to the frame by `rt_sigreturn`, so that every register the kernel knows of is put back. No other
//! signal is taken in between but a fault, which ends the guest.

use crate::linux::RT_SIGRETURN;
use abi::upcall::Registers;
use core::arch::{asm, naked_asm};

/// Handles every signal: as the kernel enters a handler, but without the alignment check, which the kernel leaves as it
/// was, and under which compiled code faults.
///
/// # Safety
///
/// For the kernel alone, as a signal handler.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn handle() {
    naked_asm!(
        ".cfi_startproc",
        "pushfq",
        ".cfi_adjust_cfa_offset 8",
        "btr qword ptr [rsp], {alignment_check}",
        "popfq",
        ".cfi_adjust_cfa_offset -8",
        "jmp {handler}",
        ".cfi_endproc",
        // Bit of the flags (SDM 1, 3.4.3).
        alignment_check = const 18,
        handler = sym crate::signals::on_signal,
    )
}

/// Where a signal handler returns to: the call that ends it, made at the gate.
///
/// # Safety
///
/// For the kernel alone, as the restorer of a signal action.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn restore() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov eax, {number}",
        "jmp metaos_gate_syscall",
        ".cfi_endproc",
        number = const RT_SIGRETURN,
    )
}

/// Enters the guest's upcall handler at `entry` (rdi) on the stack below `stack_top` (rsi) with `kind` (rdx).
///
/// # Safety
///
/// Entry and stack are those that the guest has registered.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(entry: u64, stack_top: u64, kind: u64) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov rax, rdi",
        // As after a call.
        "lea rsp, [rsi - 8]",
        "mov rdi, rdx",
        "jmp rax",
        ".cfi_endproc",
    )
}

/// Resumes the context (rdi) of a signal frame.
///
/// # Safety
///
/// The frame is one of the kernel's, on the signal stack, and its handler has not returned.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume(context: u64) -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        // Where the handler's `ret` would have left it.
        "mov rsp, rdi",
        "mov eax, {number}",
        "jmp metaos_gate_syscall",
        ".cfi_endproc",
        number = const RT_SIGRETURN,
    )
}

/// Returns the address just behind the gate's instruction, from which the kernel sees all calls come.
pub(crate) fn behind_gate() -> u64 {
    const SYSCALL_BYTES: u64 = 2;

    let gate: u64;
    // SAFETY: takes an address.
    unsafe {
        asm!("lea {}, [rip + metaos_gate_syscall]", out(reg) gate, options(nomem, nostack, preserves_flags));
    }
    gate + SYSCALL_BYTES
}

/// Returns the registers that a backtrace of this place needs.
#[inline(always)]
pub(crate) fn here() -> Registers {
    let mut registers = Registers::default();
    // SAFETY: reads registers only.
    unsafe {
        asm!(
            "lea {rip}, [rip]; mov {rsp}, rsp; mov {rbp}, rbp; mov {rbx}, rbx",
            rip = out(reg) registers.rip, rsp = out(reg) registers.rsp,
            rbp = out(reg) registers.rbp, rbx = out(reg) registers.rbx,
            options(nomem, nostack, preserves_flags),
        );
    }
    registers
}

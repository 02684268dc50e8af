//! A user's program: a few instructions below the guest image, where ticks preempt.
//!
//! It is written here as assembly and copied, because no page may be written and executed: mapped for writing, filled,
//! then made text.

use abi::{Access, Error, PAGE_SIZE, layout};
use core::arch::{asm, global_asm};
use core::sync::atomic::AtomicU64;
use services::machine;

/// What the program found when it looked back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// Everything as it was.
    All,
    /// A register or the memory below its stack pointer (128 bytes that a program may use, System V ABI 3.2.2) changed.
    Lost,
}

/// A program that is loaded.
#[derive(Debug)]
pub struct Program;

unsafe extern "C" {
    static metaos_test_program: u8;
    static metaos_test_program_end: u8;
}

// In: rdi the word to wait for. Out: rax 0 if all is kept. Fills the 128 bytes below the stack pointer and the
// registers, spins, then compares. Every register is pushed or may be lost.
global_asm!(
    ".pushsection .rodata.metaos_test_program, \"a\"",
    ".globl metaos_test_program",
    ".globl metaos_test_program_end",
    "metaos_test_program:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    ".set slot, 1",
    ".rept 16",
    "mov rax, 0x0101010101010100 + slot",
    "mov [rsp - 8 * slot], rax",
    ".set slot, slot + 1",
    ".endr",
    "mov rbx, 3",
    "mov rbp, 5",
    "mov rcx, 7",
    "mov rdx, 11",
    "mov rsi, 13",
    "mov r8, 17",
    "mov r9, 19",
    "mov r10, 23",
    "mov r11, 29",
    "mov r12, 31",
    "mov r13, 37",
    "mov r14, 41",
    "mov r15, 43",
    "mov rax, rsp",
    "movq xmm0, rax",
    "movq xmm7, rdi",
    "movq xmm15, r15",
    // A flag that interrupt handlers clear for themselves.
    "std",
    "2:",
    "cmp qword ptr [rdi], 0",
    "je 2b",
    "sub rax, rsp",
    "xor rbp, 5",
    "or rax, rbp",
    ".set slot, 1",
    ".rept 16",
    "mov rbp, 0x0101010101010100 + slot",
    "xor rbp, [rsp - 8 * slot]",
    "or rax, rbp",
    ".set slot, slot + 1",
    ".endr",
    "xor rbx, 3",
    "or rax, rbx",
    "xor rcx, 7",
    "or rax, rcx",
    "xor rdx, 11",
    "or rax, rdx",
    "xor rsi, 13",
    "or rax, rsi",
    "xor r8, 17",
    "or rax, r8",
    "xor r9, 19",
    "or rax, r9",
    "xor r10, 23",
    "or rax, r10",
    "xor r11, 29",
    "or rax, r11",
    "xor r12, 31",
    "or rax, r12",
    "xor r13, 37",
    "or rax, r13",
    "xor r14, 41",
    "or rax, r14",
    "movq rbx, xmm15",
    "xor rbx, r15",
    "or rax, rbx",
    "xor r15, 43",
    "or rax, r15",
    "movq rbx, xmm0",
    "xor rbx, rsp",
    "or rax, rbx",
    "movq rbx, xmm7",
    "xor rbx, rdi",
    "or rax, rbx",
    "pushfq",
    "pop rbx",
    "cld",
    "and rbx, 0x400",
    "xor rbx, 0x400",
    "or rax, rbx",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    "metaos_test_program_end:",
    ".popsection",
);

/// Loads the program.
///
/// # Errors
///
/// The machine gives no memory, or does not let it become text.
pub fn load() -> Result<Program, Error> {
    let (machine, start) = (machine::current(), layout::LINUX_PROGRAM);
    machine.map(start, PAGE_SIZE, Access::READ_WRITE)?;
    let from = &raw const metaos_test_program;
    let length = (&raw const metaos_test_program_end).addr() - from.addr();
    let to: *mut u8 = core::ptr::with_exposed_provenance_mut(usize::try_from(start.0).unwrap_or(0));
    // SAFETY: the labels enclose the program's bytes, and the page, larger than they are, was just mapped for writing.
    unsafe { core::ptr::copy_nonoverlapping(from, to, length) };
    machine.protect(start, PAGE_SIZE, Access::READ_EXECUTE)?;
    Ok(Program)
}

/// Tells whether an address lies in the program.
#[must_use]
pub fn contains(address: u64) -> bool {
    (layout::LINUX_PROGRAM.0..layout::LINUX_PROGRAM.0 + PAGE_SIZE as u64).contains(&address)
}

impl Program {
    /// Runs the program until `is_over` is not 0.
    #[must_use]
    pub fn run(&self, is_over: &'static AtomicU64) -> Kept {
        let changed: u64;
        // SAFETY: the program is loaded, since there is a `Program`; it keeps the registers that the ABI asks for.
        unsafe {
            asm!(
                "call {program}",
                program = in(reg) layout::LINUX_PROGRAM.0,
                in("rdi") is_over.as_ptr(),
                lateout("rax") changed,
                clobber_abi("C"),
            );
        }
        if changed == 0 { Kept::All } else { Kept::Lost }
    }
}

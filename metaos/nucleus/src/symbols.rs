//! The symbols that compiled code expects of its environment: memory functions and unwinding stubs.
//!
//! The nucleus moves little memory; string instructions are small and quick enough (the guest's versions, which
//! carry packets, are its own). In assembly, so that the compiler cannot turn them into calls of themselves. Arguments
//! and results are those of C: `rdi`, `rsi`, `rdx`; `rax`.

use core::arch::global_asm;

global_asm!(
    ".macro FUNCTION name",
    ".global \\name; .type \\name, @function; \\name:",
    ".endm",
    ".section .text.symbols, \"ax\"",
    "FUNCTION memcpy",
    "mov rax, rdi; mov rcx, rdx; rep movsb; ret",
    "FUNCTION memmove",
    "mov rax, rdi; mov rcx, rdx",
    "mov r8, rdi; sub r8, rsi; cmp r8, rdx; jb 2f", // below the length: the target overlaps from above
    "rep movsb; ret",
    "2: lea rdi, [rdi + rdx - 1]; lea rsi, [rsi + rdx - 1]",
    "std; rep movsb; cld; ret",
    "FUNCTION memset",
    "mov r8, rdi; mov eax, esi; mov rcx, rdx; rep stosb; mov rax, r8; ret",
    "FUNCTION memcmp",
    "FUNCTION bcmp",
    "xor eax, eax; mov rcx, rdx",
    "cmp rcx, rcx; repe cmpsb; je 2f", // equal, should there be no byte to compare
    "movzx eax, byte ptr [rdi - 1]; movzx ecx, byte ptr [rsi - 1]; sub eax, ecx",
    "2: ret",
    // Named by the unwinding tables of precompiled `core`; never called, since a panic ends the machine.
    "FUNCTION rust_eh_personality",
    "FUNCTION _Unwind_Resume",
    "ud2; .text",
);

//! `memcmp` and `bcmp`.

use core::arch::naked_asm;

/// Compares `count` bytes as unsigned numbers; the sign of the result is that of the first difference.
///
/// In: `rdi`, `rsi` the two, `rdx` count. Out: `eax`. Lost: `rcx`, `rdx`, `r8`, `rsi`, `rdi`. The stack is not
/// touched.
///
/// # Safety
///
/// Both are readable for `count` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(super) unsafe extern "C" fn memcmp(first: *const u8, second: *const u8, count: usize) -> i32 {
    naked_asm!(
        ".cfi_startproc",
        "cmp rdx, 8",
        "jb 20f",
        // From the ends, rdx counts up from minus the bytes before the last 8, which are compared on their own.
        "lea rdi, [rdi + rdx - 8]",
        "lea rsi, [rsi + rdx - 8]",
        "neg rdx",
        "add rdx, 8",
        "jz 12f",
        ".p2align 4",
        "11:",
        "mov rax, [rdi + rdx]",
        "mov rcx, [rsi + rdx]",
        "cmp rax, rcx",
        "jne 13f",
        "add rdx, 8",
        "js 11b",
        "12:",
        "mov rax, [rdi]",
        "mov rcx, [rsi]",
        "cmp rax, rcx",
        "jne 13f",
        "xor eax, eax",
        "ret",
        // The first byte in memory is the most significant one of the answer.
        "13:",
        "bswap rax",
        "bswap rcx",
        "14:",
        "cmp rax, rcx",
        "sbb eax, eax",
        "or eax, 1",
        "ret",
        "20:",
        "cmp edx, 4",
        "jb 30f",
        // 4 to 7 bytes: both ends make one number
        "mov eax, [rdi]",
        "mov ecx, [rsi]",
        "bswap eax",
        "bswap ecx",
        "shl rax, 32",
        "shl rcx, 32",
        "mov edi, [rdi + rdx - 4]",
        "mov esi, [rsi + rdx - 4]",
        "bswap edi",
        "bswap esi",
        "or rax, rdi",
        "or rcx, rsi",
        "cmp rax, rcx",
        "jne 14b",
        "xor eax, eax",
        "ret",
        // 0 to 3 bytes
        "30:",
        "xor r8d, r8d",
        "31:",
        "cmp r8, rdx",
        "je 32f",
        "movzx eax, byte ptr [rdi + r8]",
        "movzx ecx, byte ptr [rsi + r8]",
        "inc r8",
        "sub eax, ecx",
        "je 31b",
        "ret",
        "32:",
        "xor eax, eax",
        "ret",
        ".cfi_endproc",
    )
}

/// Tells whether `count` bytes differ: zero if they do not.
///
/// # Safety
///
/// As [`memcmp`].
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(super) unsafe extern "C" fn bcmp(first: *const u8, second: *const u8, count: usize) -> i32 {
    naked_asm!(".cfi_startproc", "jmp {memcmp}", ".cfi_endproc", memcmp = sym memcmp)
}

//! `memset`.

use core::arch::naked_asm;

/// Sets `count` bytes at `target` to the low byte of `value` and returns `target`.
///
/// In: `rdi` target, `esi` value, `rdx` count. Out: `rax` target. Lost: `rcx`, `rdi`, `xmm0`. The stack is not
/// touched.
///
/// # Safety
///
/// `target` is writable for `count` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(super) unsafe extern "C" fn memset(target: *mut u8, value: i32, count: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        // The byte eight times
        "movzx esi, sil",
        "mov rcx, 0x0101010101010101",
        "imul rcx, rsi",
        "cmp rdx, 16",
        "jb 20f",
        "movq xmm0, rcx",
        "punpcklqdq xmm0, xmm0",
        "cmp rdx, 64",
        "ja 40f",
        // 16 to 64 bytes: two from each end
        "movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm0",
        "cmp rdx, 32",
        "jbe 10f",
        "movups [rdi + 16], xmm0",
        "movups [rdi + rdx - 32], xmm0",
        "10:",
        "ret",
        "20:",
        "cmp edx, 8",
        "jb 21f",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], rcx",
        "ret",
        "21:",
        "cmp edx, 4",
        "jb 22f",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], ecx",
        "ret",
        "22:",
        "test edx, edx",
        "jz 23f",
        "mov [rdi], cl",
        "mov [rdi + rdx - 1], cl",
        "shr edx",
        "mov [rdi + rdx], cl",
        "23:",
        "ret",
        // More: the last 64 bytes, then blocks of 64 up to them
        "40:",
        "lea rdi, [rdi + rdx - 64]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm0",
        "movups [rdi + 32], xmm0",
        "movups [rdi + 48], xmm0",
        "mov rcx, 64",
        "sub rcx, rdx",
        ".p2align 4",
        "41:",
        "movups [rdi + rcx], xmm0",
        "movups [rdi + rcx + 16], xmm0",
        "movups [rdi + rcx + 32], xmm0",
        "movups [rdi + rcx + 48], xmm0",
        "add rcx, 64",
        "js 41b",
        "ret",
        ".cfi_endproc",
    )
}

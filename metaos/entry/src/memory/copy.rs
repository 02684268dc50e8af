//! `memcpy` and `memmove`.

use core::arch::naked_asm;

/// Copies `count` bytes from `source` to `target` and returns `target`. The ranges may overlap.
///
/// In: `rdi` target, `rsi` source, `rdx` count. Out: `rax` target. Lost: `rcx`, `r8`, `r9`, `rsi`, `rdi`, `xmm0-7`.
/// The stack is not touched.
///
/// # Safety
///
/// `source` is readable and `target` writable for `count` bytes.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(super) unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        "cmp rdx, 16",
        "jb 20f",
        "cmp rdx, 32",
        "ja 30f",
        // 16 to 32 bytes: both ends
        "movups xmm0, [rsi]",
        "movups xmm1, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm1",
        "ret",
        "20:",
        "cmp edx, 8",
        "jb 21f",
        "mov rcx, [rsi]",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], r8",
        "ret",
        "21:",
        "cmp edx, 4",
        "jb 22f",
        "mov ecx, [rsi]",
        "mov r8d, [rsi + rdx - 4]",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], r8d",
        "ret",
        // 0 to 3 bytes: first, middle and last, which may be the same
        "22:",
        "test edx, edx",
        "jz 23f",
        "movzx ecx, byte ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "mov r9, rdx",
        "shr r9",
        "movzx esi, byte ptr [rsi + r9]",
        "mov [rdi], cl",
        "mov [rdi + r9], sil",
        "mov [rdi + rdx - 1], r8b",
        "23:",
        "ret",
        "30:",
        "cmp rdx, 64",
        "ja 40f",
        "movups xmm0, [rsi]",
        "movups xmm1, [rsi + 16]",
        "movups xmm2, [rsi + rdx - 32]",
        "movups xmm3, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm1",
        "movups [rdi + rdx - 32], xmm2",
        "movups [rdi + rdx - 16], xmm3",
        "ret",
        "40:",
        "cmp rdx, 128",
        "ja 50f",
        "movups xmm0, [rsi]",
        "movups xmm1, [rsi + 16]",
        "movups xmm2, [rsi + 32]",
        "movups xmm3, [rsi + 48]",
        "movups xmm4, [rsi + rdx - 64]",
        "movups xmm5, [rsi + rdx - 48]",
        "movups xmm6, [rsi + rdx - 32]",
        "movups xmm7, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [rdi + 16], xmm1",
        "movups [rdi + 32], xmm2",
        "movups [rdi + 48], xmm3",
        "movups [rdi + rdx - 64], xmm4",
        "movups [rdi + rdx - 48], xmm5",
        "movups [rdi + rdx - 32], xmm6",
        "movups [rdi + rdx - 16], xmm7",
        "ret",
        // More: blocks of 64 in a loop, the last 64 bytes loaded first and stored last. Upwards, unless the target
        // starts inside the source: then a store would overwrite what is still to be loaded.
        "50:",
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jb 60f",
        "movups xmm4, [rsi + rdx - 64]",
        "movups xmm5, [rsi + rdx - 48]",
        "movups xmm6, [rsi + rdx - 32]",
        "movups xmm7, [rsi + rdx - 16]",
        "lea r8, [rdi + rdx - 64]",
        // From the ends, rcx counts up from minus the bytes before the last 64.
        "add rsi, rdx",
        "add rdi, rdx",
        "sub rsi, 64",
        "sub rdi, 64",
        "mov rcx, 64",
        "sub rcx, rdx",
        ".p2align 4",
        "51:",
        "movups xmm0, [rsi + rcx]",
        "movups xmm1, [rsi + rcx + 16]",
        "movups xmm2, [rsi + rcx + 32]",
        "movups xmm3, [rsi + rcx + 48]",
        "movups [rdi + rcx], xmm0",
        "movups [rdi + rcx + 16], xmm1",
        "movups [rdi + rcx + 32], xmm2",
        "movups [rdi + rcx + 48], xmm3",
        "add rcx, 64",
        "js 51b",
        "movups [r8], xmm4",
        "movups [r8 + 16], xmm5",
        "movups [r8 + 32], xmm6",
        "movups [r8 + 48], xmm7",
        "ret",
        // Downwards, the first 64 bytes loaded first and stored last.
        "60:",
        "movups xmm4, [rsi]",
        "movups xmm5, [rsi + 16]",
        "movups xmm6, [rsi + 32]",
        "movups xmm7, [rsi + 48]",
        "sub rdx, 64",
        ".p2align 4",
        "61:",
        "movups xmm0, [rsi + rdx]",
        "movups xmm1, [rsi + rdx + 16]",
        "movups xmm2, [rsi + rdx + 32]",
        "movups xmm3, [rsi + rdx + 48]",
        "movups [rdi + rdx], xmm0",
        "movups [rdi + rdx + 16], xmm1",
        "movups [rdi + rdx + 32], xmm2",
        "movups [rdi + rdx + 48], xmm3",
        "sub rdx, 64",
        "ja 61b",
        "movups [rdi], xmm4",
        "movups [rdi + 16], xmm5",
        "movups [rdi + 32], xmm6",
        "movups [rdi + 48], xmm7",
        "ret",
        ".cfi_endproc",
    )
}

/// Copies as [`memmove`] does; overlapping ranges are allowed here too.
///
/// # Safety
///
/// As [`memmove`].
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(super) unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    naked_asm!(".cfi_startproc", "jmp {memmove}", ".cfi_endproc", memmove = sym memmove)
}

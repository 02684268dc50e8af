//! `strlen`.

use core::arch::naked_asm;

/// Counts the bytes before the first zero.
///
/// In: `rdi` text. Out: `rax`. The stack is not touched.
///
/// # Safety
///
/// `text` is readable up to its first zero.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(super) unsafe extern "C" fn strlen(text: *const u8) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, -1",
        "2:",
        "inc rax",
        "cmp byte ptr [rdi + rax], 0",
        "jne 2b",
        "ret",
        ".cfi_endproc",
    )
}

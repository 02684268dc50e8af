//! The symbols that compiled code expects of its environment: memory functions and unwinding stubs.
//!
//! The nucleus moves little memory; string instructions are small and quick enough (the guest's versions, which
//! carry packets, are its own). They are naked so that the compiler cannot turn them into calls of themselves.

use core::arch::naked_asm;

/// Copies `rdx` bytes from `rsi` to `rdi`, upwards.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    naked_asm!("mov rax, rdi; mov rcx, rdx; rep movsb; ret")
}

/// Copies `rdx` bytes from `rsi` to `rdi`, which may overlap.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi; mov rcx, rdx",
        "mov r8, rdi; sub r8, rsi; cmp r8, rdx; jb 2f", // below the length: the target overlaps from above
        "rep movsb; ret",
        "2: lea rdi, [rdi + rdx - 1]; lea rsi, [rsi + rdx - 1]",
        "std; rep movsb; cld; ret",
    )
}

/// Fills `rdx` bytes at `rdi` with the low byte of `esi`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, bytes: usize) -> *mut u8 {
    naked_asm!("mov r8, rdi; mov eax, esi; mov rcx, rdx; rep stosb; mov rax, r8; ret")
}

/// Compares `rdx` bytes at `rdi` and `rsi`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    naked_asm!(
        "xor eax, eax; mov rcx, rdx",
        "cmp rcx, rcx; repe cmpsb; je 2f", // equal, should there be no byte to compare
        "movzx eax, byte ptr [rdi - 1]; movzx ecx, byte ptr [rsi - 1]; sub eax, ecx",
        "2: ret",
    )
}

/// As `memcmp`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    naked_asm!("jmp {memcmp}", memcmp = sym memcmp)
}

/// Named by the unwinding tables of precompiled `core`; never called, since a panic ends the machine.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

//! Symbols that precompiled code names and never calls: panics abort, so nothing unwinds in a guest.

use core::arch::naked_asm;

/// Named by the `.eh_frame` of the precompiled library.
///
/// # Safety
///
/// Never to be called: it ends the guest.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn rust_eh_personality() -> ! {
    naked_asm!("ud2")
}

/// Called at the end of landing pads, which nothing lands on.
///
/// # Safety
///
/// Never to be called: it ends the guest.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _Unwind_Resume() -> ! {
    naked_asm!("ud2")
}

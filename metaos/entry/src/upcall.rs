//! Where the machine below enters ring 3 by itself.

use core::arch::naked_asm;
use services::upcall::{current_block, handle};

/// Entry of every upcall.
///
/// In: `rdi` the kind; `rsp` the top of the upcall stack, or 8 bytes below. The interrupted registers are
/// in the CPU block, so all may be used. Does not return: it leaves by a Machine call. Unwinding ends here.
///
/// # Safety
///
/// For the machine below alone.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn upcall_entry() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "cld",
        "xor ebp, ebp",
        "and rsp, -16",
        "call {handle}",
        "ud2",
        ".cfi_endproc",
        handle = sym handle_upcall,
    )
}

extern "C" fn handle_upcall(kind: u64) -> ! {
    handle(kind, current_block())
}

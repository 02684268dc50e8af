//! Machine calls under flags that ring 3 may set and that compiled code does not expect.

use abi::{Call, Error};
use core::arch::asm;

/// Alignment check; in ring 0 it would switch SMAP off.
pub const ALIGNMENT_CHECK: u64 = 1 << 18;
/// Direction: string instructions run downwards.
pub const DIRECTION: u64 = 1 << 10;
/// Nested task: an IRET in ring 0 would fault.
pub const NESTED_TASK: u64 = 1 << 14;
/// Interrupts on.
pub const INTERRUPT: u64 = 1 << 9;
/// I/O privilege level 3: ring 3 may use ports.
pub const IO_PRIVILEGE: u64 = 3 << 12;
/// Single step.
pub const TRAP: u64 = 1 << 8;

/// Makes a Machine call with `flags` set. The flags are as before afterwards.
///
/// # Errors
///
/// The machine refused.
pub fn call_with(flags: u64, call: Call, arguments: [u64; 3]) -> Result<u64, Error> {
    let [first, second, third] = arguments;
    let result: u64;
    // SAFETY: no compiled code runs while the flags are set; the call is the caller's crime.
    unsafe {
        asm!(
            "pushfq",
            "or [rsp], r12",
            "pushfq",
            "pop r12",
            "popfq",
            "call metaos_gate_syscall",
            "push r12",
            "popfq",
            inout("r12") flags => _,
            inlateout("rax") call as u64 => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            clobber_abi("C"),
        );
    }
    Error::decode(result)
}

/// Returns the flags.
#[must_use]
pub fn read() -> u64 {
    let flags: u64;
    // SAFETY: reads the flags only.
    unsafe { asm!("pushfq", "pop {}", out(reg) flags) }
    flags
}

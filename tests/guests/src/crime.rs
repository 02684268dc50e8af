//! Touching memory that is not ours to touch, and running what is not ours to run.

use abi::VirtAddr;
use abi::upcall::{CpuBlock, UpcallKind};
use core::arch::asm;

/// One byte of machine code that returns at once.
pub const RETURN: u8 = 0xc3;

/// Reads eight bytes.
pub fn read_at(address: VirtAddr) {
    // SAFETY: none. The machine below is to stop it, or it reads and forgets.
    unsafe {
        asm!("mov {value}, [{address}]", address = in(reg) address.0, value = out(reg) _, options(nostack));
    }
}

/// Writes eight bytes.
pub fn write_at(address: VirtAddr) {
    // SAFETY: none. The machine below is to stop it; should it not, the test has failed anyway.
    unsafe {
        asm!("mov [{address}], {value}", address = in(reg) address.0, value = in(reg) 0x0bad_u64, options(nostack));
    }
}

/// Calls what lies at an address. Comes back if that is a function.
pub fn jump_to(address: VirtAddr) {
    // SAFETY: none. The machine below is to stop it; what the guests jump to does nothing but return.
    unsafe { asm!("call {address}", address = in(reg) address.0, clobber_abi("C")) }
}

/// Makes a `syscall` outside the gate.
pub fn foreign_syscall() {
    // SAFETY: the instruction changes rax, rcx and r11 only; whoever handles it resumes here.
    unsafe { asm!("syscall", inlateout("rax") 0_u64 => _, out("rcx") _, out("r11") _) }
}

/// Lets `handler` run inside an upcall: a `syscall` outside the gate makes one.
pub fn in_upcall(handler: fn(&'static CpuBlock)) {
    services::upcall::set_handler(UpcallKind::ForeignSyscall, handler);
    foreign_syscall();
}

/// Tells whether `bytes` of memory are all zero, and fills them with something else.
#[must_use]
pub fn is_zero_then_fill(start: VirtAddr, bytes: usize) -> bool {
    let start: *mut u64 = core::ptr::with_exposed_provenance_mut(usize::try_from(start.0).unwrap_or(0));
    // SAFETY: the guests have just mapped this memory, for reading and writing, and nobody else has it.
    let words = unsafe { core::slice::from_raw_parts_mut(start, bytes / size_of::<u64>()) };
    let is_zero = words.iter().all(|word| *word == 0);
    words.fill(u64::MAX);
    is_zero
}

/// Returns the address of a thing.
#[must_use]
pub fn address_of<T: ?Sized>(thing: &T) -> VirtAddr {
    VirtAddr(core::ptr::from_ref(thing).cast::<u8>().expose_provenance() as u64)
}

/// Returns the address of a function.
#[must_use]
pub fn address_of_function(function: fn()) -> VirtAddr {
    VirtAddr((function as *const ()).expose_provenance() as u64)
}

/// A function that does nothing, for guests that need the address of one.
#[inline(never)]
pub fn do_nothing() {
    core::hint::black_box(());
}

/// Runs instructions that ring 3 may not run.
#[macro_export]
macro_rules! run {
    ($($assembly:tt)*) => {
        // SAFETY: none. The machine below is to stop it at the first instruction that matters.
        unsafe { core::arch::asm!($($assembly)*) }
    };
}

//! The switch from one thread's stack to another's: the only unsafe code of the library OS.
//!
//! A thread that does not run is an address: that of its saved registers, on its own stack. Switching saves what
//! the System V calling convention lets a function keep (rbx, rbp, r12-r15, the control words of SSE and x87) and
//! nothing else, because threads switch only by calling [`switch`]. The type [`Context`] sees to it that such an
//! address is used once and that the stack behind it lives.

use abi::VirtAddr;
use alloc::sync::Arc;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use services::memory;
use services::memory::stack::Stack;

/// MXCSR and the x87 control word at a thread's start: exceptions masked, double extended precision, round to
/// nearest (SDM 1, 10.2.3 and 8.1.5).
const CONTROL_WORDS: u64 = 0x1f80 | 0x037f << 32;
/// What [`switch_stacks`] finds on a new thread's stack: what it saves, and one word more.
type Frame = [u64; 9];

/// What a thread is while it does not run.
#[derive(Debug)]
pub(crate) struct Context {
    /// Address of the saved registers; 0 while the thread runs.
    stack_pointer: AtomicU64,
    /// The stack; that of the main thread belongs to nobody.
    stack: Option<Memory>,
}

/// The memory of a stack.
#[derive(Debug)]
pub(crate) enum Memory {
    /// With a guard page.
    Guarded(Stack),
    /// Without one, where there is no machine to map memory.
    #[cfg(test)]
    Plain(alloc::boxed::Box<[core::mem::MaybeUninit<u128>]>),
}

impl Context {
    /// Makes the context of the thread that runs already.
    pub(crate) const fn running() -> Self {
        Self { stack_pointer: AtomicU64::new(0), stack: None }
    }

    /// Makes the context of a new thread, which starts in `run` when it is first switched to.
    pub(crate) fn new(stack: Memory, run: extern "C" fn() -> !) -> Self {
        // r15 to r12, then rbx, which `thread_start` reads, rbp, the return address, and a word in place of the
        // return address of `thread_start`, so that the stack is aligned as just after a call.
        let frame: Frame = [CONTROL_WORDS, 0, 0, 0, 0, address_of(run), 0, address_of_start(), 0];
        let start = stack.top().0 - size_of::<Frame>() as u64;
        // SAFETY: the words lie at the upper end of the stack, which is mapped, writable, larger than that and aligned
        // to 16 bytes, and nobody but this new context uses it.
        unsafe { core::ptr::with_exposed_provenance_mut::<Frame>(to_usize(start)).write(frame) };
        Self { stack_pointer: AtomicU64::new(start), stack: Some(stack) }
    }

    /// Takes the stack of a thread that has ended and is not running any more.
    pub(crate) fn into_stack(self) -> Option<Memory> {
        self.stack
    }

    /// Takes the saved registers' address: the thread runs from now on.
    fn resume(&self) -> u64 {
        let stack_pointer = self.stack_pointer.swap(0, Ordering::Relaxed);
        assert!(stack_pointer != 0, "a thread that runs is not switched to");
        stack_pointer
    }
}

impl Memory {
    /// Maps a stack of at least `bytes` for the thread called `name`.
    #[cfg(not(test))]
    pub(crate) fn new(bytes: usize, name: &str) -> Result<Self, memory::Error> {
        Stack::new(bytes, name).map(Self::Guarded)
    }

    /// Takes a stack of at least `bytes` from the heap of the host, whose functions need more of it.
    #[cfg(test)]
    #[expect(clippy::unnecessary_wraps, reason = "a guest may find no memory")]
    pub(crate) fn new(bytes: usize, _name: &str) -> Result<Self, memory::Error> {
        Ok(Self::Plain(alloc::boxed::Box::new_uninit_slice(bytes.max(256 << 10) / size_of::<u128>())))
    }

    fn top(&self) -> VirtAddr {
        match self {
            Self::Guarded(stack) => stack.top(),
            #[cfg(test)]
            Self::Plain(words) => VirtAddr(words.as_ptr_range().end.expose_provenance() as u64),
        }
    }
}

/// Suspends the running thread, whose context is `from`, and resumes `to`. Returns when somebody switches back.
///
/// Whoever calls keeps another reference to `to` for as long as that thread lives.
pub(crate) fn switch(from: &Context, to: Arc<Context>) {
    let resumed = to.resume();
    drop(to);
    // SAFETY: `resumed` is the address of registers that this module saved (or laid out) and that nobody has
    // resumed since; the stack they lie on belongs to that context, of which the table of threads keeps a
    // reference. `from` is written before its own stack is left.
    unsafe { switch_stacks(from.stack_pointer.as_ptr(), resumed) }
}

/// Leaves the running thread for good and resumes `to`. What still lies on the stack is never dropped.
pub(crate) fn leave(to: Arc<Context>) -> ! {
    static NOBODY: AtomicU64 = AtomicU64::new(0);
    let resumed = to.resume();
    drop(to);
    // SAFETY: as in `switch`; what is saved in `NOBODY` is never resumed.
    unsafe { switch_stacks(NOBODY.as_ptr(), resumed) }
    unreachable!("nobody switches to a thread that has left");
}

/// Saves the registers a function must keep on the running stack, stores that stack's pointer at `save` (rdi) and
/// restores them from the stack at `load` (rsi).
///
/// ```text
/// load -> | mxcsr, x87 control word |  low
///         | r15 r14 r13 r12 rbx rbp |
///         | return address          |  high
/// ```
///
/// # Safety
///
/// `save` can be written; `load` is what this routine has saved before, not resumed since, on a stack that lives.
#[unsafe(naked)]
unsafe extern "C" fn switch_stacks(save: *mut u64, load: u64) {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbp, 0",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset rbx, 0",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r12, 0",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r13, 0",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r14, 0",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_rel_offset r15, 0",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi], rsp",
        // The other stack has the same layout, so what is said about the frame stays true.
        "mov rsp, rsi",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop r15",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r15",
        "pop r14",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r14",
        "pop r13",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r13",
        "pop r12",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore r12",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbp",
        "ret",
        ".cfi_endproc",
    )
}

/// Where a new thread starts: calls the function in rbx. In: `rsp` as just after a call. Unwinding ends here.
///
/// # Safety
///
/// Only to be resumed from a frame that [`Context::new`] has laid out.
#[unsafe(naked)]
unsafe extern "C" fn thread_start() -> ! {
    naked_asm!(".cfi_startproc", ".cfi_undefined rip", "sub rsp, 8", "call rbx", "ud2", ".cfi_endproc")
}

fn address_of_start() -> u64 {
    (thread_start as *const ()).expose_provenance() as u64
}

fn address_of(run: extern "C" fn() -> !) -> u64 {
    (run as *const ()).expose_provenance() as u64
}

fn to_usize(address: u64) -> usize {
    usize::try_from(address).expect("addresses are as wide as usize on x86-64")
}

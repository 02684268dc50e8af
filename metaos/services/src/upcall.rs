//! Upcalls: what happens when the machine below enters ring 3 by itself.
//!
//! The entry crate supplies the naked routine; it calls [`handle`] on a stack of its own. A fault is put into words
//! from the table of ranges and ends the guest with a report. What a library OS wants to know of ticks and foreign
//! system calls it hears through [`set_handler`]; without a handler a tick is ignored, and a foreign system call ends
//! the guest, because a native guest has no business making one.
//!
//! Nothing here takes a lock that the interrupted code may hold, and nothing allocates.

mod block;

use crate::machine;
use crate::memory::stack::Stack;
use crate::memory::{self, Part, Subject, describe};
use abi::VirtAddr;
use abi::control::CrashKind;
use abi::upcall::{CpuBlock, UpcallKind};
use core::fmt;
use spin::Once;

pub use block::current_block;

/// What a library OS does at an upcall. It runs on the upcall stack, and what stands in the block when it returns is
/// resumed.
pub type Handler = fn(&'static CpuBlock);

/// Why upcalls could not be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpcallError {
    /// Their stack could not be mapped.
    Stack(memory::Error),
    /// The machine refused entry or stack.
    Refused(abi::Error),
}

/// A handler formats a report, which takes some 4 KiB in an unoptimised build.
const STACK_BYTES: usize = 16 << 10;
const PAGE_FAULT: u64 = 14;

static STACK: Once<Stack> = Once::new();
static TICK: Once<Handler> = Once::new();
static FOREIGN_SYSCALL: Once<Handler> = Once::new();

/// Maps the upcall stack and registers `entry`, a routine that calls [`handle`] with what it finds in `rdi`.
///
/// # Errors
///
/// See [`UpcallError`].
pub fn install(entry: VirtAddr) -> Result<(), UpcallError> {
    let stack = STACK.try_call_once(|| Stack::new(STACK_BYTES, "upcall")).map_err(UpcallError::Stack)?;
    machine::current().register_upcall(entry, stack.top()).map_err(UpcallError::Refused)
}

/// Sets what happens at a tick or at a foreign system call. The first call for a kind counts. Faults end the guest
/// always.
pub fn set_handler(kind: UpcallKind, handler: Handler) {
    match kind {
        UpcallKind::Fault => {}
        UpcallKind::Tick => {
            TICK.call_once(|| handler);
        }
        UpcallKind::ForeignSyscall => {
            FOREIGN_SYSCALL.call_once(|| handler);
        }
    }
}

/// Handles the upcall of this number and resumes what it interrupted, or ends the guest.
pub fn handle(kind: u64, block: &'static CpuBlock) -> ! {
    let machine = machine::current();
    let handler = match UpcallKind::from_number(kind) {
        Some(UpcallKind::Fault) => fault(block),
        Some(UpcallKind::Tick) => TICK.get(),
        Some(UpcallKind::ForeignSyscall) => Some(FOREIGN_SYSCALL.get().unwrap_or(&(refuse as Handler))),
        None => machine.crash(CrashKind::FaultInUpcall, "upcall of an unknown kind"),
    };
    if let Some(handler) = handler {
        handler(block);
    }
    machine.return_from_upcall()
}

/// Ends the guest with a report on the fault in `block`. The text stays empty unless the services know more than the
/// registers say.
fn fault(block: &CpuBlock) -> ! {
    let overflowed = faulting_address(block)
        .and_then(describe)
        .filter(|description| description.subject == Subject::Stack && description.part == Part::Guard);
    crate::io::console::flush_in_crash();
    match overflowed {
        Some(description) => {
            let name = description.name;
            let mut text = crate::crash::Text::new();
            text.push(format_args!("stack overflow in thread {name}"));
            machine::current().crash(CrashKind::StackOverflow, text.as_str())
        }
        None => machine::current().crash(CrashKind::Fault, ""),
    }
}

fn faulting_address(block: &CpuBlock) -> Option<VirtAddr> {
    use core::sync::atomic::Ordering::Relaxed;
    (block.vector.load(Relaxed) == PAGE_FAULT).then(|| VirtAddr(block.address.load(Relaxed)))
}

fn refuse(_: &'static CpuBlock) {
    crate::io::console::flush_in_crash();
    machine::current().crash(CrashKind::ForeignSyscall, "")
}

impl fmt::Display for UpcallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack(error) => write!(f, "stack for upcalls: {error}"),
            Self::Refused(error) => write!(f, "registering the upcall entry: {error}"),
        }
    }
}

impl core::error::Error for UpcallError {}

#[cfg(test)]
mod tests;

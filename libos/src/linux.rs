//! The Linux door: an unmodified static Linux program, whose system calls are served by the library OS.
//!
//! The linker puts the program's segments beside a small guest that calls [`run`] with the table of them. The program
//! runs in the guest's own address space, on a stack of its own; a `syscall` instruction of it traps, and the trap
//! resumes at [`gate`]'s entry as if the processor had gone there: on the stack of the library OS's thread behind the
//! program's. So a call is an ordinary function of an ordinary thread. It may wait, and others run meanwhile.
//!
//! ```text
//! program ──syscall──> machine below ──upcall──> gate::resume_at_entry ──> gate entry ──> dispatch ──> calls
//!    ^                                                                        │ registers as they were, but rax
//!    └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Addresses that a program hands in are checked against the table of its memory (`memory`), which nothing changes
//! between check and use; a bad one is `EFAULT`. A call that is not known is `ENOSYS`, and noted in the `ledger`.
#![expect(
    clippy::cast_possible_truncation,
    reason = "addresses are as wide as usize, and narrow arguments stand in the low bits of their registers"
)]

mod chance;
mod console;
mod dispatch;
mod errno;
#[expect(
    unsafe_code,
    reason = "registers, stacks and memory of a program are nothing that the language knows"
)]
pub mod gate;
mod ledger;
mod memory;
mod process;
mod scheduling;
mod signals;
mod stack;
mod time;
mod user;

use abi::control::CrashKind;
use abi::linux::ProgramNote;
use abi::upcall::UpcallKind;
use core::convert::Infallible;
use services::crash::Text;
use services::{machine, upcall};

use self::stack::Words;

/// Runs the program that the linker has put beside the guest whose note this is. Its end is the guest's end.
pub fn run(note: &'static ProgramNote) -> Infallible {
    let table = gate::read_table(note);
    if table.segment_count == 0 {
        give_up("there is no program in this image; make one with `cargo metaos build ./program`");
    }
    let words = Words::of_command_line(machine::current().command_line());
    ledger::begin(words.wants_ledger);
    let prepared = memory::begin(&table).and_then(|top| stack::lay_out(top, &table, &words));
    let Ok(stack_pointer) = prepared else {
        give_up("no memory for the program's stack, arguments and environment; start it with more (-m)");
    };
    process::begin(words.name());
    upcall::set_handler(UpcallKind::ForeignSyscall, gate::resume_at_entry);
    gate::enter(table.entry, stack_pointer)
}

fn give_up(why: &str) -> ! {
    let mut text = Text::new();
    text.push(format_args!("{why}"));
    machine::current().crash(CrashKind::Panic, text.as_str())
}

//! The machine below a guest that runs as a Linux process: no monitor, no privilege, the same guest file.
//!
//! It offers what the nucleus offers, over the host's system calls: the same addresses, the same rights of pages, the
//! same upcalls and reports. Before the guest's code runs, a filter takes all other system calls away from the process,
//! and those left may come from the gate only. What the nucleus keeps from the guest by ring 0, this machine does not:
//! it is as trustworthy as the guest, and the host is protected by the filter.
//!
//! ```text
//! start ──> process    the initial stack: arguments, environment, options
//!       ──> memory     pages at the guest's addresses
//!       ──> signals    faults and ticks become upcalls, Ctrl-C a request to stop
//!       ──> device     a network device carried out in software on the guest's virtqueues
//!       ──> filter     from here on only what a guest needs
//! machine ──> wait, console, report, clock, device                      linux: every system call
//! ```
#![cfg_attr(not(test), no_std)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "the kernel's words are numbers, addresses, lengths and errors in turn, and this runs on 64 bits only"
)]

mod chance;
mod clock;
mod console;
mod device;
mod filter;
mod linux;
mod machine;
mod memory;
mod options;
mod pages;
mod process;
mod report;
mod signals;
mod start;
mod switch;
mod wait;

pub use machine::Hosted;
pub use start::start;

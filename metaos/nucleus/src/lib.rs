//! The nucleus: the part of the meta-OS that runs in ring 0.
//!
//! Four principles shape it.
//!
//! 1. **It is not on the hot path.** A guest owns its queues and reads its clock without a call; the nucleus maps
//!    memory, turns interrupts into counters, and sleeps.
//! 2. **It trusts nothing that ring 3 writes.** It never follows a guest's pointer without walking the page
//!    tables first, and keeps what it needs in pages that ring 3 cannot reach.
//! 3. **No page is writable and executable**, in any view, from the moment the final tables are loaded.
//! 4. **Interrupts are off in ring 0** but for one `sti; hlt`, so one lock around its state never spins.
//!
//! Data flows from `boot` (what the loader left) through `memory` and [`devices`] to `guest`, which enters
//! ring 3. From then on everything starts in `trap`.
#![no_std]
#![expect(
    clippy::cast_possible_truncation,
    reason = "addresses and lengths change between u64 and usize all over, which are the same on the CPUs this runs on"
)]

mod apic;
mod boot;
mod calls;
mod clock;
pub mod command_line;
mod cpu;
pub mod devices;
mod guest;
mod layout;
mod memory;
mod privileged;
mod real_time_clock;
mod report;
mod serial;
mod state;
#[cfg(not(test))]
mod symbols;
mod trap;
mod upcall;
mod user;

pub use boot::nucleus_main;
pub use report::panic;

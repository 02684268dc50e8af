//! Ring-3 services of the meta-OS: memory, I/O and clock, linked into every guest.
//!
//! They stand between the library OS and the [`abi::Machine`] below: what needs a page, a device or the time asks
//! here. Nothing here knows of threads, sockets or files, and nothing here is preempted, so the locks are never
//! contended on one CPU; they keep the data sound when a guest has more.
//!
//! `unsafe` stands only in `memory::{heap, state}`, `io::{volatile, dma}`, `io::entropy::cpu`, `clock` (the time-stamp
//! counter) and `upcall::block`.
#![no_std]

#[cfg(test)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod clock;
pub mod crash;
pub mod exit;
pub mod io;
pub mod machine;
pub mod memory;
pub mod upcall;

#[cfg(test)]
mod mock;

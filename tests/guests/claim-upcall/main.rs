//! Claims by itself that an upcall is active, and faults.
#![no_std]
#![no_main]

use abi::VirtAddr;
use core::sync::atomic::Ordering;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};
use services::upcall::current_block;

entry::main!(main);

fn main() -> ExitCode {
    attempting("fault with an upcall claimed to be active");
    current_block().upcall_active.store(1, Ordering::Relaxed);
    crime::read_at(VirtAddr(0));
    not_caught()
}

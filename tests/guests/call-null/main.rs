//! Calls a null pointer.
#![no_std]
#![no_main]

use abi::VirtAddr;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("call a null pointer");
    crime::jump_to(VirtAddr(0));
    not_caught()
}

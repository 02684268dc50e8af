//! Reads through a null pointer.
#![no_std]
#![no_main]

use abi::VirtAddr;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read through a null pointer");
    crime::read_at(VirtAddr(0));
    not_caught()
}

//! Writes through a null pointer, to a field far into a structure.
#![no_std]
#![no_main]

use abi::VirtAddr;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write through a null pointer");
    crime::write_at(VirtAddr(0xf000));
    not_caught()
}

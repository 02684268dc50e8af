//! Reads from an address that no CPU has.
#![no_std]
#![no_main]

use abi::VirtAddr;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read from an address that no CPU has");
    crime::read_at(VirtAddr(0x8000_0000_0000));
    not_caught()
}

//! Reads from device space that it has not mapped.
#![no_std]
#![no_main]

use abi::layout;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read from device space");
    crime::read_at(layout::DEVICE_WINDOWS);
    not_caught()
}

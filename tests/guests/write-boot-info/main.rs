//! Writes to the boot information.
#![no_std]
#![no_main]

use abi::layout;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to the boot information");
    crime::write_at(layout::BOOT_INFO);
    not_caught()
}

//! Writes to memory of the nucleus.
#![no_std]
#![no_main]

use abi::layout;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to the nucleus");
    crime::write_at(layout::NUCLEUS);
    not_caught()
}

//! Jumps into the nucleus.
#![no_std]
#![no_main]

use abi::layout;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("jump to the nucleus");
    crime::jump_to(layout::NUCLEUS);
    not_caught()
}

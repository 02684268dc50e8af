//! Writes to the information page.
#![no_std]
#![no_main]

use abi::layout;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to the information page");
    crime::write_at(layout::INFO_PAGE);
    not_caught()
}

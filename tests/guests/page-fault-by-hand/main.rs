//! Raises the vector of a page fault by hand.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("raise a page fault by hand");
    run!("int 14");
    not_caught()
}

//! Switches interrupts off.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("switch interrupts off");
    run!("cli");
    not_caught()
}

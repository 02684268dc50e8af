//! Halts the CPU.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("halt the CPU");
    run!("hlt");
    not_caught()
}

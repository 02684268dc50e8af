//! Writes a debug register.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write DR0");
    run!("mov dr0, {}", in(reg) 0_u64);
    not_caught()
}

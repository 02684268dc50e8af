//! Writes a control register: write protection off.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write CR0");
    run!("mov cr0, {}", in(reg) 0x8000_0011_u64);
    not_caught()
}

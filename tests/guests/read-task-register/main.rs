//! Reads the task register, which UMIP keeps from ring 3.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read the task register");
    run!("str {0:x}", out(reg) _);
    not_caught()
}

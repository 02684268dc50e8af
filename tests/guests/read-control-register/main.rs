//! Reads a control register.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read CR3");
    run!("mov {}, cr3", out(reg) _);
    not_caught()
}

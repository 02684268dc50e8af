//! Loads a stack segment of ring 0.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("load a stack segment of ring 0");
    run!("mov ss, {0:x}", in(reg) 0x10);
    not_caught()
}

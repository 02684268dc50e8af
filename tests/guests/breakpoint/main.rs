//! Runs into a breakpoint.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("run into a breakpoint");
    run!("int3");
    not_caught()
}

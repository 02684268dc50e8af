//! Swaps the GS bases.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("swap the GS bases");
    run!("swapgs");
    not_caught()
}

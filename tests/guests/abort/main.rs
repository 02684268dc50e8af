//! Runs into an instruction that is none on purpose.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("run into an undefined instruction");
    run!("ud2");
    not_caught()
}

//! Reads the low half of CR0, which UMIP keeps from ring 3.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read the machine status word");
    run!("smsw {0}", out(reg) _);
    not_caught()
}

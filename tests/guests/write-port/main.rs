//! Writes to an I/O port.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to a port");
    run!("out 0xf4, al", in("al") 0_u8);
    not_caught()
}

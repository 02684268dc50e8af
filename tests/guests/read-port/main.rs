//! Reads from an I/O port.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read from a port");
    run!("in al, dx", in("dx") 0x3f8_u16, out("al") _);
    not_caught()
}

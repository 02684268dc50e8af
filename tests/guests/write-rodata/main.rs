//! Writes to a constant.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

static CONSTANT: [u64; 4] = [1, 2, 3, 4];

fn main() -> ExitCode {
    attempting("write to a constant");
    crime::write_at(crime::address_of(&CONSTANT));
    not_caught()
}

//! Writes to its own text.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to text");
    crime::write_at(crime::address_of_function(crime::do_nothing));
    not_caught()
}

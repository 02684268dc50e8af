//! Executes bytes of its constants.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

static CODE: [u8; 16] = [crime::RETURN; 16];

fn main() -> ExitCode {
    attempting("execute constants");
    crime::jump_to(crime::address_of(&CODE));
    not_caught()
}

//! Executes bytes of its data.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU8;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

static CODE: [AtomicU8; 16] = [const { AtomicU8::new(crime::RETURN) }; 16];

fn main() -> ExitCode {
    attempting("execute data");
    crime::jump_to(crime::address_of(&CODE));
    not_caught()
}

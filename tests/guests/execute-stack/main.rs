//! Executes bytes of its stack.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("execute the stack");
    let code = core::hint::black_box([crime::RETURN; 16]);
    crime::jump_to(crime::address_of(&code));
    not_caught()
}

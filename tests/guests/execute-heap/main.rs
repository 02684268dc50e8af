//! Executes bytes of its heap.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("execute the heap");
    let code = Box::new([crime::RETURN; 16]);
    crime::jump_to(crime::address_of(&*code));
    not_caught()
}

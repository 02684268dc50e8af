//! Runs on past the end of its text.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU64;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

/// A program has few data: they start in the page of this one, which is the first after text.
static FIRST_DATA: AtomicU64 = AtomicU64::new(1);

fn main() -> ExitCode {
    attempting("jump past the end of text");
    crime::jump_to(crime::address_of(&FIRST_DATA).page_start());
    not_caught()
}

//! Panics.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("panic");
    give_up();
    not_caught()
}

fn give_up() {
    panic!("the app gives up");
}

//! Commits no crime: shows that a guest which is not caught fails its test.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("do nothing wrong");
    not_caught()
}

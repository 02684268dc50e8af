//! Asks Linux, by the gate, for a second process.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("fork");
    from_gate(number::FORK, [0; 6]);
    not_caught()
}

//! Makes a call that it may make, but not by the gate.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{beside_gate, number, path};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to the console beside the gate");
    beside_gate(number::WRITE, [1, path(), 1]);
    not_caught()
}

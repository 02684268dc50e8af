//! Asks Linux to open a file, by an instruction of its own.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{beside_gate, number, path};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("open a file beside the gate");
    beside_gate(number::OPEN, [path(), 0, 0]);
    not_caught()
}

//! Asks Linux, by the gate, to open a file.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number, path};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("open a file");
    from_gate(number::OPEN, [path(), 0, 0, 0, 0, 0]);
    not_caught()
}

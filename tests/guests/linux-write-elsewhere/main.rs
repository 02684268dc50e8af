//! Writes, by the gate, to a descriptor that is not for writing.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number, path};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write to standard input");
    from_gate(number::WRITE, [0, path(), 1, 0, 0, 0]);
    not_caught()
}

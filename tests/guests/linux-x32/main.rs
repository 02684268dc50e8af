//! Makes a call of x32, by the gate.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number, path};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("open a file by x32");
    from_gate(number::OPEN | number::X32, [path(), 0, 0, 0, 0, 0]);
    not_caught()
}

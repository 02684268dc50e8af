//! Asks Linux, by the gate, whether it could signal process 1.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("signal another process");
    from_gate(number::KILL, [1, 0, 0, 0, 0, 0]);
    not_caught()
}

//! Asks Linux, by the gate, to be traced.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("be traced");
    from_gate(number::PTRACE, [0; 6]);
    not_caught()
}

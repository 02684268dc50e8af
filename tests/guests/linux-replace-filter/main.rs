//! Asks Linux, by the gate, for another filter of system calls.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("get another filter");
    from_gate(number::SECCOMP, [1, 0, 0, 0, 0, 0]);
    not_caught()
}

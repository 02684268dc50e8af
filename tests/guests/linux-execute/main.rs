//! Asks Linux, by the gate, to run another program.
#![no_std]
#![no_main]

use metaos_test_guests::linux::{from_gate, number, path};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("run another program");
    from_gate(number::EXECVE, [path(), 0, 0, 0, 0, 0]);
    not_caught()
}

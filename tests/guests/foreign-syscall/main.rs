//! Makes a system call outside the gate.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("make a system call outside the gate");
    crime::foreign_syscall();
    not_caught()
}

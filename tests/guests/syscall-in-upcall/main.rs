//! Makes a system call outside the gate while it handles one.
#![no_std]
#![no_main]

use abi::upcall::CpuBlock;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("make a system call in an upcall");
    crime::in_upcall(misbehave);
    not_caught()
}

fn misbehave(_: &'static CpuBlock) {
    crime::foreign_syscall();
}

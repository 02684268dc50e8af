//! Faults while it handles an upcall.
#![no_std]
#![no_main]

use abi::VirtAddr;
use abi::upcall::CpuBlock;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("fault in an upcall");
    crime::in_upcall(misbehave);
    not_caught()
}

fn misbehave(_: &'static CpuBlock) {
    crime::read_at(VirtAddr(0));
}

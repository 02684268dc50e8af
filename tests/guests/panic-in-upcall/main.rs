//! Panics while it handles an upcall.
#![no_std]
#![no_main]

use abi::upcall::CpuBlock;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("panic in an upcall");
    crime::in_upcall(give_up);
    not_caught()
}

fn give_up(_: &'static CpuBlock) {
    panic!("the handler gives up");
}

//! Faults with a stack pointer into the nucleus.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("fault with a stack in the nucleus");
    run!("mov rsp, {}", "ud2", in(reg) abi::layout::NUCLEUS.0, options(noreturn))
}

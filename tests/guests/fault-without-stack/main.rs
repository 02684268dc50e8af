//! Faults with a stack pointer that points nowhere.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("fault without a stack");
    run!("mov rsp, {}", "ud2", in(reg) 0x8000_0000_0000_u64, options(noreturn))
}

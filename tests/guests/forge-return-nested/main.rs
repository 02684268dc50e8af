//! Returns from an upcall with the flag of a nested task, which ring 3 may set but not use: it is dropped.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, crime, flags};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall as a nested task");
    crime::in_upcall(forge);
    conclude(Outcome::held_if(flags::read() & flags::NESTED_TASK == 0))
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rflags: registers.rflags | flags::NESTED_TASK, ..registers });
}

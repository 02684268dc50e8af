//! Returns from an upcall with the flag of a nested task, at which an IRET would fault.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, attempting, crime, flags, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall as a nested task");
    crime::in_upcall(forge);
    not_caught()
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rflags: registers.rflags | flags::NESTED_TASK, ..registers });
}

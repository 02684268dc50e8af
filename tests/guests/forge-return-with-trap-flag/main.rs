//! Returns from an upcall single-stepping.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, attempting, crime, flags, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall single-stepping");
    crime::in_upcall(forge);
    not_caught()
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rflags: registers.rflags | flags::TRAP, ..registers });
}

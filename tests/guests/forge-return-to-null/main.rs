//! Returns from an upcall to null.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall to null");
    crime::in_upcall(forge);
    not_caught()
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rip: 0, ..registers });
}

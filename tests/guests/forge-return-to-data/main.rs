//! Returns from an upcall to data, which ring 3 may not execute.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall to data");
    crime::in_upcall(forge);
    not_caught()
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rip: crime::address_of(block).0, ..registers });
}

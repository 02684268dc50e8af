//! Returns from an upcall to an address that no CPU has.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall to an address that no CPU has");
    crime::in_upcall(forge);
    not_caught()
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rip: 0x8000_0000_0000, ..registers });
}

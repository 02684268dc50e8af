//! Returns from an upcall with the privilege to use I/O ports.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, attempting, crime, flags, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall with I/O privilege");
    crime::in_upcall(forge);
    not_caught()
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rflags: registers.rflags | flags::IO_PRIVILEGE, ..registers });
}

//! Returns from an upcall with interrupts off.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, Registers};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, crime, flags, say};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall with interrupts off");
    crime::in_upcall(forge);
    let is_on = flags::read() & flags::INTERRUPT != 0;
    say(format_args!("interrupts are {}", if is_on { "on" } else { "off" }));
    conclude(Outcome::held_if(is_on))
}

fn forge(block: &'static CpuBlock) {
    let registers = block.load_registers();
    block.store_registers(&Registers { rflags: registers.rflags & !flags::INTERRUPT, ..registers });
}

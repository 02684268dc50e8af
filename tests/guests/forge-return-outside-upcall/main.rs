//! Claims that an upcall is active, writes a context into the CPU block and returns to it: to the nucleus.
#![no_std]
#![no_main]

use abi::upcall::Registers;
use abi::{Call, layout};
use core::sync::atomic::Ordering;
use metaos_test_guests::{ExitCode, attempting, call, not_caught, say};
use services::upcall::current_block;

entry::main!(main);

fn main() -> ExitCode {
    attempting("return to the nucleus with an upcall claimed to be active");
    let block = current_block();
    block.upcall_active.store(1, Ordering::Relaxed);
    block.store_registers(&Registers { rip: layout::NUCLEUS.0, rflags: 0x202, ..Registers::default() });
    let result = call::make(Call::ReturnFromUpcall, [0; 3]);
    say(format_args!("{result:?}"));
    not_caught()
}

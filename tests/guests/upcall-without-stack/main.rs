//! Unmaps the stack of upcalls, and faults.
#![no_std]
#![no_main]

use abi::{Access, Call, VirtAddr};
use metaos_test_guests::{ExitCode, attempting, call, crime, not_caught, say};
use services::memory::{Area, Mapping};

entry::main!(main);

fn main() -> ExitCode {
    let entry = crime::address_of_function(crime::do_nothing).0;
    let Ok(stack) = Mapping::new(Area::Stacks, 1 << 14, Access::READ_WRITE, "doomed") else {
        return ExitCode::FAILURE;
    };
    let top = stack.start().0 + stack.length() as u64;
    let registered = call::make(Call::RegisterUpcall, [entry, top, 0]);
    say(format_args!("registered: {registered:?}"));
    drop(stack);
    attempting("fault when upcalls have no stack");
    crime::read_at(VirtAddr(0));
    not_caught()
}

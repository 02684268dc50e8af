//! Returns from an upcall while flags are set that ring 0 must not run with: an IRET of a nested task faults.
#![no_std]
#![no_main]

use abi::Call;
use abi::upcall::CpuBlock;
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, crime, flags, say};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall with flags that ring 0 must not run with");
    crime::in_upcall(leave);
    say(format_args!("returned"));
    conclude(Outcome::Held)
}

/// Leaves the upcall by itself, where the services would have left it a moment later.
fn leave(_: &'static CpuBlock) {
    let set = flags::ALIGNMENT_CHECK | flags::DIRECTION | flags::NESTED_TASK;
    let result = flags::call_with(set, Call::ReturnFromUpcall, [0; 3]);
    say(format_args!("{result:?}"));
}

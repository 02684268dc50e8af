//! Unmaps nothing, but registers a function that is no handler for upcalls, and faults: it returns to nowhere.
#![no_std]
#![no_main]

use abi::{Call, VirtAddr, layout};
use metaos_test_guests::{ExitCode, attempting, call, crime, not_caught, say};

entry::main!(main);

fn main() -> ExitCode {
    let entry = crime::address_of_function(crime::do_nothing).0;
    let registered =
        call::make(Call::RegisterUpcall, [entry, layout::CPU_BLOCKS.0 + layout::CPU_BLOCK_SIZE as u64, 0]);
    say(format_args!("registered: {registered:?}"));
    attempting("fault when upcalls end in nothing");
    crime::read_at(VirtAddr(0));
    not_caught()
}

//! Returns from an upcall that never was.
#![no_std]
#![no_main]

use abi::Call;
use metaos_test_guests::{ExitCode, attempting, call, not_caught, say};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall that never was");
    let result = call::make(Call::ReturnFromUpcall, [0; 3]);
    say(format_args!("{result:?}"));
    not_caught()
}

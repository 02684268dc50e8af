//! Crashes for a reason that there is not.
#![no_std]
#![no_main]

use abi::Call;
use metaos_test_guests::{ExitCode, attempting, call, not_caught, say};

entry::main!(main);

fn main() -> ExitCode {
    attempting("crash for an unknown reason");
    let text = "for no reason";
    let result =
        call::make(Call::Crash, [u64::MAX, text.as_ptr().expose_provenance() as u64, text.len() as u64]);
    say(format_args!("{result:?}"));
    not_caught()
}

//! Crashes with a text that lies in the nucleus.
#![no_std]
#![no_main]

use abi::control::CrashKind;
use abi::{Call, layout};
use metaos_test_guests::{ExitCode, attempting, call, not_caught, say};

entry::main!(main);

fn main() -> ExitCode {
    attempting("have the nucleus read aloud in a report");
    let kind = u64::from(CrashKind::Panic as u32);
    let result = call::make(Call::Crash, [kind, layout::NUCLEUS.0, 64]);
    say(format_args!("{result:?}"));
    not_caught()
}

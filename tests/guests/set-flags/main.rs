//! Makes Machine calls, good and bad, with flags set that ring 0 must not run with.
#![no_std]
#![no_main]

use abi::{Call, Error, layout};
use metaos_test_guests::{ExitCode, Outcome, attempting, call::judge, conclude, flags};

entry::main!(main);

fn main() -> ExitCode {
    attempting("make calls with flags that ring 0 must not run with");
    let calls = [
        // In ring 0 it would switch SMAP off.
        (flags::ALIGNMENT_CHECK, "printed with the flag of alignment checks\n"),
        (flags::DIRECTION, "printed with the direction flag\n"),
        (flags::NESTED_TASK, "printed with the flag of nested tasks\n"),
        (flags::ALIGNMENT_CHECK | flags::DIRECTION | flags::NESTED_TASK, "printed with all of them\n"),
    ];
    conclude(calls.into_iter().map(|(set, text)| call_with(set, text)).collect())
}

fn call_with(set: u64, text: &str) -> Outcome {
    let good = [text.as_ptr().expose_provenance() as u64, text.len() as u64, 0];
    let printed = flags::call_with(set, Call::ConsoleWrite, good);
    let bad = flags::call_with(set, Call::ConsoleWrite, [layout::NUCLEUS.0, 16, 0]);
    Outcome::held_if(printed == Ok(text.len() as u64)).and(judge("print the nucleus", bad, Error::BadAddress))
}

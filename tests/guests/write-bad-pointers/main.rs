//! Asks for bytes to be printed that it may not read.
#![no_std]
#![no_main]

use abi::{Call, Error, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

fn main() -> ExitCode {
    let stack_end = layout::MAIN_STACK.0 + layout::MAIN_STACK_SIZE as u64;
    let cases: [(&str, [u64; 3], Error); 10] = [
        ("print the nucleus", [layout::NUCLEUS.0, 16, 0], Error::BadAddress),
        ("print null", [0, 16, 0], Error::BadAddress),
        ("print from an address that no CPU has", [0x8000_0000_0000, 16, 0], Error::BadAddress),
        ("print what is not mapped", [layout::MMAP_AREA.0, 1, 0], Error::BadAddress),
        ("print device space", [layout::DEVICE_WINDOWS.0, 16, 0], Error::BadAddress),
        ("print the guard page of its stack", [layout::STACKS.0, 1, 0], Error::BadAddress),
        ("print past the end of its stack", [stack_end - 8, 16, 0], Error::BadAddress),
        ("print everything", [layout::GUEST_IMAGE.0, u64::MAX, 0], Error::BadAddress),
        (
            "print everything from here to the upper half",
            [layout::GUEST_IMAGE.0, layout::USER_END.0 - layout::GUEST_IMAGE.0, 0],
            Error::BadAddress,
        ),
        ("print around the end of the address space", [u64::MAX - 7, 16, 0], Error::BadAddress),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::ConsoleWrite, arguments, error))
            .collect(),
    )
}

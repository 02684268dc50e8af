//! Sets the thread pointer to addresses that are not for ring 3.
#![no_std]
#![no_main]

use abi::{Call, Error, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

fn main() -> ExitCode {
    let cases: [(&str, [u64; 3], Error); 3] = [
        ("point the thread pointer to the nucleus", [layout::NUCLEUS.0, 0, 0], Error::BadAddress),
        (
            "point the thread pointer to an address that no CPU has",
            [0x8000_0000_0000, 0, 0],
            Error::BadAddress,
        ),
        (
            "point the thread pointer to the last page of the lower half",
            [layout::USER_END.0, 0, 0],
            Error::BadAddress,
        ),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::SetThreadPointer, arguments, error))
            .collect(),
    )
}

//! Asks for memory where the nucleus lies, and everywhere else that is not for ring 3.
#![no_std]
#![no_main]

use abi::{Access, Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;
const READ_WRITE: u64 = Access::READ_WRITE.bits() as u64;

fn main() -> ExitCode {
    let cases: [(&str, [u64; 3], Error); 12] = [
        ("map over the nucleus", [layout::NUCLEUS.0, PAGE, READ_WRITE], Error::BadAddress),
        ("map the last page of the lower half", [layout::USER_END.0, PAGE, READ_WRITE], Error::BadAddress),
        (
            "map from the lower half into the upper",
            [layout::USER_END.0 - PAGE, 0xffff_8000_0000_0000, READ_WRITE],
            Error::BadAddress,
        ),
        ("map an address that no CPU has", [0x8000_0000_0000, PAGE, READ_WRITE], Error::BadAddress),
        (
            "map around the end of the address space",
            [0u64.wrapping_sub(PAGE), 2 * PAGE, READ_WRITE],
            Error::BadLength,
        ),
        ("map null", [0, PAGE, READ_WRITE], Error::BadAddress),
        (
            "map the last page below the lowest",
            [layout::LOWEST.0 - PAGE, PAGE, READ_WRITE],
            Error::BadAddress,
        ),
        ("map over its own image", [layout::GUEST_IMAGE.0, PAGE, READ_WRITE], Error::AlreadyMapped),
        ("map over the information page", [layout::INFO_PAGE.0, PAGE, READ_WRITE], Error::AlreadyMapped),
        ("map over the CPU block", [layout::CPU_BLOCKS.0, PAGE, READ_WRITE], Error::AlreadyMapped),
        ("map over the main stack", [layout::MAIN_STACK.0, PAGE, READ_WRITE], Error::AlreadyMapped),
        (
            "map across its own image",
            [layout::GUEST_IMAGE.0 - PAGE, 3 * PAGE, READ_WRITE],
            Error::AlreadyMapped,
        ),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::Map, arguments, error))
            .collect(),
    )
}

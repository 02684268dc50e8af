//! Asks for memory of lengths and with rights that there are not.
#![no_std]
#![no_main]

use abi::{Access, Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;
const READ_WRITE: u64 = Access::READ_WRITE.bits() as u64;
const AREA: u64 = layout::MMAP_AREA.0;

fn main() -> ExitCode {
    let cases: [(&str, [u64; 3], Error); 11] = [
        ("map nothing", [AREA, 0, READ_WRITE], Error::BadLength),
        ("map half a page", [AREA, PAGE / 2, READ_WRITE], Error::Misaligned),
        ("map from the middle of a page", [AREA + 8, PAGE, READ_WRITE], Error::Misaligned),
        ("map all that can be counted", [AREA, u64::MAX, READ_WRITE], Error::Misaligned),
        (
            "map all whole pages that can be counted",
            [AREA, 0u64.wrapping_sub(PAGE), READ_WRITE],
            Error::BadLength,
        ),
        ("map the rest of the lower half", [AREA, layout::USER_END.0 - AREA, READ_WRITE], Error::OutOfMemory),
        ("map more memory than there is", [AREA, 1 << 30, READ_WRITE], Error::OutOfMemory),
        ("map with rights that do not exist", [AREA, PAGE, 8], Error::BadAccess),
        ("map with rights beyond 32 bits", [AREA, PAGE, 1 << 32 | READ_WRITE], Error::BadAccess),
        ("map write-only", [AREA, PAGE, Access::WRITE.bits().into()], Error::BadAccess),
        ("map execute-only", [AREA, PAGE, Access::EXECUTE.bits().into()], Error::BadAccess),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::Map, arguments, error))
            .collect(),
    )
}

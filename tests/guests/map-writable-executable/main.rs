//! Asks for memory that is writable and executable.
#![no_std]
#![no_main]

use abi::address::LARGE_PAGE_SIZE;
use abi::{Access, Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;
const LARGE_PAGE: u64 = LARGE_PAGE_SIZE as u64;
const READ_WRITE: u64 = Access::READ_WRITE.bits() as u64;
const WRITE_EXECUTE: u64 = READ_WRITE | Access::EXECUTE.bits() as u64;

fn main() -> ExitCode {
    let cases: [(&str, [u64; 3], Error); 3] = [
        (
            "map a page writable and executable",
            [layout::MMAP_AREA.0, PAGE, WRITE_EXECUTE],
            Error::WritableAndExecutable,
        ),
        (
            "map a large page writable and executable",
            [layout::MMAP_AREA.0, LARGE_PAGE, WRITE_EXECUTE],
            Error::WritableAndExecutable,
        ),
        (
            "map a page writable and executable, but not readable",
            [layout::MMAP_AREA.0, PAGE, WRITE_EXECUTE & !1],
            Error::WritableAndExecutable,
        ),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::Map, arguments, error))
            .collect(),
    )
}

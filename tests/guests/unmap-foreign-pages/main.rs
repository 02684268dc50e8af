//! Asks for pages to be unmapped that it has not mapped itself.
#![no_std]
#![no_main]

use abi::{Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude, crime};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;

fn main() -> ExitCode {
    let text = crime::address_of_function(crime::do_nothing).page_start().0;
    let cases: [(&str, [u64; 3], Error); 8] = [
        ("unmap its text", [text, PAGE, 0], Error::NotMapped),
        ("unmap the information page", [layout::INFO_PAGE.0, PAGE, 0], Error::NotMapped),
        ("unmap its CPU block", [layout::CPU_BLOCKS.0, PAGE, 0], Error::NotMapped),
        ("unmap its first stack", [layout::MAIN_STACK.0, PAGE, 0], Error::NotMapped),
        ("unmap the nucleus", [layout::NUCLEUS.0, PAGE, 0], Error::BadAddress),
        ("unmap what is not mapped", [layout::MMAP_AREA.0, PAGE, 0], Error::NotMapped),
        (
            "unmap the whole lower half",
            [layout::LOWEST.0, layout::USER_END.0 - layout::LOWEST.0, 0],
            Error::NotMapped,
        ),
        ("unmap around the end of the address space", [0u64.wrapping_sub(PAGE), PAGE, 0], Error::BadLength),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::Unmap, arguments, error))
            .collect(),
    )
}

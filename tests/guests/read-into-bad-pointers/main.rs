//! Asks for typed bytes to be put where it may not write.
#![no_std]
#![no_main]

use abi::{Call, Error, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude, crime};

entry::main!(main);

fn main() -> ExitCode {
    let text = crime::address_of_function(crime::do_nothing).0;
    let cases: [(&str, [u64; 3], Error); 8] = [
        ("read into the nucleus", [layout::NUCLEUS.0, 16, 0], Error::BadAddress),
        ("read into its text", [text, 16, 0], Error::BadAddress),
        ("read into its constants", [layout::GUEST_IMAGE.0, 16, 0], Error::BadAddress),
        ("read into the information page", [layout::INFO_PAGE.0, 16, 0], Error::BadAddress),
        ("read into the boot information", [layout::BOOT_INFO.0, 16, 0], Error::BadAddress),
        ("read into null", [0, 16, 0], Error::BadAddress),
        ("read into what is not mapped", [layout::MMAP_AREA.0, u64::MAX, 0], Error::BadAddress),
        ("read around the end of the address space", [u64::MAX - 7, 16, 0], Error::BadAddress),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::ConsoleRead, arguments, error))
            .collect(),
    )
}

//! Asks for other rights on pages that it has not mapped itself.
#![no_std]
#![no_main]

use abi::{Access, Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, call::expect_refusal, conclude, crime};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;
const READ_WRITE: u64 = Access::READ_WRITE.bits() as u64;
const READ_EXECUTE: u64 = Access::READ_EXECUTE.bits() as u64;

fn main() -> ExitCode {
    let text = crime::address_of_function(crime::do_nothing).page_start().0;
    let cases: [(&str, [u64; 3], Error); 12] = [
        ("make its text writable", [text, PAGE, READ_WRITE], Error::NotMapped),
        ("make its constants writable", [layout::GUEST_IMAGE.0, PAGE, READ_WRITE], Error::NotMapped),
        ("make the information page writable", [layout::INFO_PAGE.0, PAGE, READ_WRITE], Error::NotMapped),
        ("make the boot information writable", [layout::BOOT_INFO.0, PAGE, READ_WRITE], Error::NotMapped),
        ("make its stack executable", [layout::MAIN_STACK.0, PAGE, READ_EXECUTE], Error::NotMapped),
        ("make its CPU block executable", [layout::CPU_BLOCKS.0, PAGE, READ_EXECUTE], Error::NotMapped),
        ("make the nucleus writable", [layout::NUCLEUS.0, PAGE, READ_WRITE], Error::BadAddress),
        ("make null readable", [0, PAGE, READ_WRITE], Error::BadAddress),
        ("make readable what is not mapped", [layout::MMAP_AREA.0, PAGE, READ_WRITE], Error::NotMapped),
        ("make nothing readable", [layout::MMAP_AREA.0, 0, READ_WRITE], Error::BadLength),
        (
            "make readable from the middle of a page",
            [layout::MMAP_AREA.0 + 1, PAGE, READ_WRITE],
            Error::Misaligned,
        ),
        (
            "change the rights of the whole lower half",
            [layout::LOWEST.0, layout::USER_END.0 - layout::LOWEST.0, READ_WRITE],
            Error::NotMapped,
        ),
    ];
    conclude(
        cases
            .into_iter()
            .map(|(what, arguments, error)| expect_refusal(what, Call::Protect, arguments, error))
            .collect(),
    )
}

//! Maps memory in good order and then asks for it to become writable and executable.
#![no_std]
#![no_main]

use abi::{Access, Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{
    ExitCode, Outcome,
    call::{expect_refusal, make},
    conclude,
};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;
const READ_WRITE: u64 = Access::READ_WRITE.bits() as u64;
const WRITE_EXECUTE: u64 = READ_WRITE | Access::EXECUTE.bits() as u64;
const READ_EXECUTE: u64 = Access::READ_EXECUTE.bits() as u64;

fn main() -> ExitCode {
    let page = layout::MMAP_AREA.0;
    let prepared = make(Call::Map, [page, PAGE, READ_WRITE]).is_ok();
    let refused = |what: &str, access: u64| {
        expect_refusal(what, Call::Protect, [page, PAGE, access], Error::WritableAndExecutable)
    };
    conclude(
        Outcome::held_if(prepared)
            .and(refused("make data executable", WRITE_EXECUTE))
            .and(Outcome::held_if(make(Call::Protect, [page, PAGE, READ_EXECUTE]).is_ok()))
            .and(refused("make text writable", WRITE_EXECUTE)),
    )
}

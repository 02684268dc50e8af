//! Reads a page that was mapped without any right.
#![no_std]
#![no_main]

use abi::{Access, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    let (machine, page) = (machine::current(), layout::MMAP_AREA);
    if machine.map(page, PAGE_SIZE, Access::empty()).is_err() {
        return ExitCode::FAILURE;
    }
    attempting("read a guard page");
    crime::read_at(page);
    not_caught()
}

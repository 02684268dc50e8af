//! Reads a page after it was unmapped.
#![no_std]
#![no_main]

use abi::{Access, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    let (machine, page) = (machine::current(), layout::MMAP_AREA);
    if machine.map(page, PAGE_SIZE, Access::READ_WRITE).is_err() || {
        crime::write_at(page);
        machine.unmap(page, PAGE_SIZE).is_err()
    } {
        return ExitCode::FAILURE;
    }
    attempting("read a page that was unmapped");
    crime::read_at(page);
    not_caught()
}

//! Writes to a page after it was made read-only.
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
        machine.protect(page, PAGE_SIZE, Access::READ).is_err()
    } {
        return ExitCode::FAILURE;
    }
    attempting("write to a page that became read-only");
    crime::write_at(page);
    not_caught()
}

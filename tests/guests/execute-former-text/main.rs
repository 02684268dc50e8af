//! Executes a page that was text and became data again.
#![no_std]
#![no_main]

use abi::{Access, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    let (machine, page) = (machine::current(), layout::MMAP_AREA);
    if machine.map(page, PAGE_SIZE, Access::READ_WRITE).is_err()
        || machine.protect(page, PAGE_SIZE, Access::READ_EXECUTE).is_err()
        || machine.protect(page, PAGE_SIZE, Access::READ_WRITE).is_err()
    {
        return ExitCode::FAILURE;
    }
    attempting("execute what is no text any more");
    crime::jump_to(page);
    not_caught()
}

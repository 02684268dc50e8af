//! Makes one small page of a large one read-only and writes to it.
#![no_std]
#![no_main]

use abi::address::LARGE_PAGE_SIZE;
use abi::{Access, PAGE_SIZE, VirtAddr, layout};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    let (machine, start) = (machine::current(), layout::MMAP_AREA);
    let part = VirtAddr(start.0 + 5 * PAGE_SIZE as u64);
    if machine.map(start, LARGE_PAGE_SIZE, Access::READ_WRITE).is_err() {
        return ExitCode::FAILURE;
    }
    crime::write_at(part);
    if machine.protect(part, PAGE_SIZE, Access::READ).is_err() {
        return ExitCode::FAILURE;
    }
    crime::write_at(VirtAddr(part.0 - 8));
    crime::write_at(VirtAddr(part.0 + PAGE_SIZE as u64));
    attempting("write to the read-only part of a large page");
    crime::write_at(part);
    not_caught()
}

//! Writes to the page tables where the nucleus sees them.
#![no_std]
#![no_main]

use abi::VirtAddr;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

/// Where the nucleus sees its page tables.
const TABLES: VirtAddr = VirtAddr(0xffff_ffff_a000_0000);

fn main() -> ExitCode {
    attempting("write to a page table");
    crime::write_at(TABLES);
    not_caught()
}

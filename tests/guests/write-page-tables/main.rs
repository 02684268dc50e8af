//! Writes to the page tables where the nucleus sees them.
#![no_std]
#![no_main]

use abi::VirtAddr;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

/// Where the nucleus sees one of its page tables: it puts them into the lowest memory, where those of a machine as small
/// as the tests' have room.
const TABLES: VirtAddr = VirtAddr(0xffff_ff00_0004_0000);

fn main() -> ExitCode {
    attempting("write to a page table");
    crime::write_at(TABLES);
    not_caught()
}

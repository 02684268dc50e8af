//! Asks Linux, by the gate, for memory that is executable.
#![no_std]
#![no_main]

use abi::{PAGE_SIZE, layout};
use metaos_test_guests::linux::{FRESH, NO_FILE, READ_EXECUTE, from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;

fn main() -> ExitCode {
    attempting("map executable memory");
    from_gate(number::MMAP, [layout::MMAP_AREA.0, PAGE, READ_EXECUTE, FRESH, NO_FILE, 0]);
    not_caught()
}

//! Asks Linux, by the gate, to map a file that it was given.
#![no_std]
#![no_main]

use abi::{PAGE_SIZE, layout};
use metaos_test_guests::linux::{OF_FILE, READ_WRITE, from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;

fn main() -> ExitCode {
    attempting("map a file");
    from_gate(number::MMAP, [layout::MMAP_AREA.0, PAGE, READ_WRITE, OF_FILE, 0, 0]);
    not_caught()
}

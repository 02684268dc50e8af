//! Asks Linux, by the gate, to make data executable.
#![no_std]
#![no_main]

use abi::{PAGE_SIZE, layout};
use metaos_test_guests::linux::{READ_EXECUTE, from_gate, number};
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

const PAGE: u64 = PAGE_SIZE as u64;

fn main() -> ExitCode {
    attempting("make data executable");
    from_gate(number::MPROTECT, [layout::MAIN_STACK.0, PAGE, READ_EXECUTE, 0, 0, 0]);
    not_caught()
}

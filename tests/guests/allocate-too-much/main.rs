//! Allocates more at once than an address space holds.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("take a terabyte");
    black_box(Vec::<u8>::with_capacity(black_box(1 << 41)));
    not_caught()
}

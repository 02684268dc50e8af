//! Allocates until there is no memory left.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("take all memory");
    let mut hoard = Vec::new();
    for _ in 0..1 << 16 {
        hoard.push(black_box(vec![1_u8; 1 << 18]));
    }
    not_caught()
}

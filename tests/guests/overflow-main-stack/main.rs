//! Recurses until the main stack overflows.
#![no_std]
#![no_main]

use core::hint::black_box;
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("recurse without end");
    descend(black_box(1));
    not_caught()
}

#[expect(unconditional_recursion, reason = "that is the crime")]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(depth + 1) + frame[63]
}

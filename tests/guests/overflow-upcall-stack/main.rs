//! Recurses in an upcall until its stack overflows.
#![no_std]
#![no_main]

use abi::upcall::CpuBlock;
use core::hint::black_box;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("recurse without end in an upcall");
    crime::in_upcall(misbehave);
    not_caught()
}

fn misbehave(_: &'static CpuBlock) {
    black_box(descend(black_box(1)));
}

#[expect(unconditional_recursion, reason = "that is the crime")]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(depth + 1) + frame[63]
}

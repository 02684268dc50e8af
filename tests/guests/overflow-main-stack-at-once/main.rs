//! Enters a function whose frame is larger than the stack and its guard.
#![no_std]
#![no_main]

use core::hint::black_box;
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("enter a frame of a megabyte");
    black_box(spread(black_box(1)));
    not_caught()
}

#[inline(never)]
fn spread(value: u8) -> u8 {
    let frame = black_box([value; 1 << 20]);
    frame[usize::from(value)]
}

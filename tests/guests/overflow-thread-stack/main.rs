//! Recurses in a thread until its stack overflows.
#![no_std]
#![no_main]

use core::hint::black_box;
use libos::thread::Builder;
use metaos_test_guests::{ExitCode, attempting, not_caught};

entry::main!(main);

fn main() -> ExitCode {
    attempting("recurse without end in a thread");
    let worker = Builder::new().name("worker-1".into()).spawn(|| descend(black_box(1)));
    let ended = worker.map(|worker| worker.join().is_ok());
    metaos_test_guests::say(format_args!("{ended:?}"));
    not_caught()
}

#[expect(unconditional_recursion, reason = "that is the crime")]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    descend(depth + 1) + frame[63]
}

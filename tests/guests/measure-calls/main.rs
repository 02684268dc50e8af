//! Commits no crime: measures what a call into the library OS costs, and a computation, for the benchmark `hosted`.
#![no_std]
#![no_main]

#[path = "../../benches/hosted/compute.rs"]
mod compute;

use core::hint::black_box;
use core::time::Duration;
use libos::time::Instant;
use libos::{println, process, thread};

entry::main!(main);

const CALLS: u32 = 10_000_000;

fn main() {
    let null = measure(|| {
        (0..CALLS).for_each(|_| {
            black_box(black_box(process::stop_requested as fn() -> bool)());
        });
    });
    let thread = measure(|| {
        (0..CALLS).for_each(|_| {
            black_box(thread::current().id());
        });
    });
    let clock = measure(|| {
        (0..CALLS).for_each(|_| {
            black_box(Instant::now());
        });
    });
    let compute = measure(|| {
        black_box(compute::mix(black_box(1)));
    });
    for (name, time) in [("null", null), ("thread", thread), ("clock", clock), ("compute", compute)] {
        println!("{name} {}", time.as_nanos());
    }
}

fn measure(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

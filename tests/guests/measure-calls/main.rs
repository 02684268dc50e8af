//! Commits no crime: measures what a call into the library OS costs, and a computation, for the benchmark `hosted`.
#![no_std]
#![no_main]

#[path = "../../benches/hosted/compute.rs"]
mod compute;

use core::hint::black_box;
use core::time::Duration;
use libos::println;
use libos::thread;
use libos::time::Instant;

entry::main!(main);

const CALLS: u32 = 10_000_000;

fn main() {
    let yields = measure(|| (0..CALLS).for_each(|_| thread::yield_now()));
    let clock = measure(|| {
        (0..CALLS).for_each(|_| {
            black_box(Instant::now());
        });
    });
    let compute = measure(|| {
        black_box(compute::mix(black_box(1)));
    });
    for (name, time) in [("yield", yields), ("clock", clock), ("compute", compute)] {
        println!("{name} {}", time.as_nanos());
    }
}

fn measure(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

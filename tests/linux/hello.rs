//! Prints its arguments and a variable, sleeps, and ends with status 7.

use std::collections::HashMap;
use std::time::{Duration, Instant};

fn main() {
    println!("Hello from std.");
    for (index, argument) in std::env::args().enumerate().skip(1) {
        println!("argument {index}: {argument}");
    }
    println!("GREETING={}", std::env::var("GREETING").unwrap_or_else(|_| "(none)".into()));
    let doubled: HashMap<u32, u32> = (0..1000).map(|number| (number, 2 * number)).collect();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("{} {}", doubled[&21], start.elapsed() >= Duration::from_millis(20));
    std::process::exit(7);
}

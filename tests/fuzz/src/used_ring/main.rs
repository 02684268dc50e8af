//! A hostile device: what it writes into its virtqueues comes from the input, between the driver's own operations.
//!
//! One case plays either a queue by itself against a complete model, or the network device that stands on two.
#![no_main]

mod input;
mod machine;
mod memory;
mod model;
mod network;
mod queue;
mod rings;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    machine::install();
    let mut input = input::Input::new(bytes);
    let _end: Option<()> = match input.u8() {
        Some(settings) if settings & 0x80 == 0 => queue::run(settings, input),
        Some(_) => network::run(input),
        None => None,
    };
});

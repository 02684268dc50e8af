//! A target with a defect: shows that the instrumentation steers and that a crash is reported.
//!
//! Chance alone finds this word once in 2^32 runs; the traced comparison finds it in a moment.
#![no_main]

use libfuzzer_sys::fuzz_target;

const DEFECT: u32 = u32::from_le_bytes(*b"boom");

fuzz_target!(|input: &[u8]| {
    if let Some(word) = input.first_chunk() {
        assert!(u32::from_le_bytes(*word) != DEFECT, "the planted defect was reached");
    }
});

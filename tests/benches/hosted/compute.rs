//! A computation that the compiler can do nothing about: each step needs the one before.

/// Steps; half a second on a fast processor.
const STEPS: u64 = 200_000_000;

/// Mixes `state` for long.
pub(crate) fn mix(mut state: u64) -> u64 {
    for step in 0..STEPS {
        state = (state ^ state >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ step;
    }
    state
}

//! Random bytes: the host's, or, in a run that repeats bit for bit, those that follow from its seed.

use crate::linux;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

static IS_SEEDED: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU64 = AtomicU64::new(0);

/// Says from which seed random bytes follow, if not from the host.
pub(crate) fn begin(seed: Option<u64>) {
    IS_SEEDED.store(seed.is_some(), Relaxed);
    STATE.store(seed.unwrap_or(0), Relaxed);
}

/// Fills `bytes`, and tells whether it could.
pub(crate) fn fill(bytes: &mut [u8]) -> bool {
    if !IS_SEEDED.load(Relaxed) {
        return linux::random(bytes);
    }
    for chunk in bytes.chunks_mut(size_of::<u64>()) {
        chunk.copy_from_slice(&next().to_le_bytes()[..chunk.len()]);
    }
    true
}

/// Returns the next number of the sequence (`SplitMix64`: Steele, Lea and Flood, 2014). No secret is safe with it.
fn next() -> u64 {
    let state = STATE.load(Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.store(state, Relaxed);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let bytes = |seed| {
            begin(Some(seed));
            let mut bytes = [0; 13];
            assert!(fill(&mut bytes));
            bytes
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
        // The first number of the sequence from 0, as published.
        begin(Some(0));
        assert_eq!(next(), 0xe220_a839_7b1d_cdaf);
    }
}

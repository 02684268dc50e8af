//! The bytes that are sent: any piece of them can be made and checked without keeping all.

use crate::net::tests::wire::Random;
use alloc::vec::Vec;

/// Bytes after which it repeats: a prime, so that no buffer and no window hides a shift.
const PERIOD: usize = 65_521;

/// An endless row of bytes.
pub(super) struct Pattern(Vec<u8>);

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self(core::iter::repeat_with(|| random.next().to_le_bytes()).flatten().take(PERIOD).collect())
    }

    /// Writes the bytes from `offset` on.
    pub(super) fn fill(&self, offset: usize, mut space: &mut [u8]) {
        let mut place = offset % PERIOD;
        while !space.is_empty() {
            let count = space.len().min(PERIOD - place);
            let (now, later) = space.split_at_mut(count);
            now.copy_from_slice(&self.0[place..place + count]);
            (space, place) = (later, 0);
        }
    }

    /// Tells whether `bytes` are those from `offset` on.
    pub(super) fn is_at(&self, offset: usize, mut bytes: &[u8]) -> bool {
        let mut place = offset % PERIOD;
        while !bytes.is_empty() {
            let count = bytes.len().min(PERIOD - place);
            let (now, later) = bytes.split_at(count);
            if now != &self.0[place..place + count] {
                return false;
            }
            (bytes, place) = (later, 0);
        }
        true
    }
}

#[test]
fn a_change_and_a_shift_are_seen() {
    let pattern = Pattern::new(7);
    let mut bytes = alloc::vec![0; 3 * PERIOD];
    pattern.fill(100, &mut bytes);
    assert!(pattern.is_at(100, &bytes));
    assert!(!pattern.is_at(100 + (1 << 16), &bytes[..64]));
    bytes[2 * PERIOD] ^= 1;
    assert!(!pattern.is_at(100, &bytes));
}

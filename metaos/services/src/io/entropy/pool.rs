//! The generator and its key.

use crate::clock;
use core::fmt;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// After so many bytes the key is replaced, so that a key found later tells little of what was handed out.
const BYTES_PER_KEY: usize = 64 << 10;

/// A `ChaCha20` generator that can be fed.
pub(super) struct Pool {
    generator: ChaCha20Rng,
    left: usize,
}

impl Pool {
    /// Returns a generator with a known key: worthless until it has absorbed a seed.
    pub(super) fn new() -> Self {
        Self { generator: ChaCha20Rng::from_seed([0; 32]), left: BYTES_PER_KEY }
    }

    /// Mixes 32 bytes into the key.
    pub(super) fn absorb(&mut self, seed: &[u8; 32]) {
        let mut key = [0; 32];
        self.generator.fill_bytes(&mut key);
        for (byte, more) in key.iter_mut().zip(seed) {
            *byte ^= more;
        }
        // Through the cipher once more, so that the key is not a linear function of the seed.
        let mut mixer = ChaCha20Rng::from_seed(key);
        mixer.fill_bytes(&mut key);
        self.generator = ChaCha20Rng::from_seed(key);
        self.left = BYTES_PER_KEY;
    }

    /// Mixes the time in.
    pub(super) fn absorb_time(&mut self) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&clock::jitter().to_le_bytes());
        seed[8..16].copy_from_slice(&clock::now_ns().to_le_bytes());
        seed[16..24].copy_from_slice(&clock::wall_ns().unwrap_or(0).to_le_bytes());
        self.absorb(&seed);
    }

    /// Fills `bytes`.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(BYTES_PER_KEY) {
            if self.left < chunk.len() {
                self.absorb_time();
            }
            self.generator.fill_bytes(chunk);
            self.left -= chunk.len();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool { .. }")
    }
}

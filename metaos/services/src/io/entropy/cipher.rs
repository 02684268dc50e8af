//! The key stream of `ChaCha20` (RFC 8439), with the counter of 64 bits that its author gave it.
//!
//! One block at a time: random bytes are asked for by the few, and a generator for bulk data is several times the code.

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;
/// "expand 32-byte k" (RFC 8439, 2.3).
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
const DOUBLE_ROUNDS: usize = 10;

/// Four rows of four words.
type Words = [[u32; 4]; 4];

/// A key stream.
pub(super) struct Cipher {
    /// Constants, key (two rows), counter and nonce.
    state: Words,
    /// The current block, of which the last `left` bytes have not been handed out.
    block: [u8; BLOCK_BYTES],
    left: usize,
}

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        let mut state = [CONSTANTS, [0; 4], [0; 4], [0; 4]];
        for (word, bytes) in state[1..].as_flattened_mut().iter_mut().zip(key.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { state, block: [0; BLOCK_BYTES], left: 0 }
    }

    /// Fills `bytes` with the next of the key stream.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        let mut filled = 0;
        while filled < bytes.len() {
            if self.left == 0 {
                self.next_block();
            }
            let count = self.left.min(bytes.len() - filled);
            let start = BLOCK_BYTES - self.left;
            bytes[filled..filled + count].copy_from_slice(&self.block[start..start + count]);
            // Who sees the memory later learns nothing about bytes that were handed out.
            self.block[start..start + count].fill(0);
            self.left -= count;
            filled += count;
        }
    }

    fn next_block(&mut self) {
        let mixed = mixed(&self.state);
        let words = mixed.as_flattened().iter().zip(self.state.as_flattened());
        for (bytes, (word, start)) in self.block.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.wrapping_add(*start).to_le_bytes();
        }
        self.left = BLOCK_BYTES;
        let [low, high, ..] = &mut self.state[3];
        let (next, carry) = low.overflowing_add(1);
        *low = next;
        *high = high.wrapping_add(u32::from(carry));
    }
}

/// Returns the words after twenty rounds (2.3).
fn mixed(words: &Words) -> Words {
    let mut words = *words;
    for _ in 0..DOUBLE_ROUNDS {
        mix(&mut words, 0);
        mix(&mut words, 1);
    }
    words
}

/// One round (2.1, 2.3): of the columns if each row is taken `slant` = 0 words further than the one above, of the diagonals
/// if 1.
fn mix([first, second, third, fourth]: &mut Words, slant: usize) {
    for column in 0..4 {
        let at = |row: usize| (column + row * slant) % 4;
        let [a, b] = [&mut first[column], &mut second[at(1)]];
        let [c, d] = [&mut third[at(2)], &mut fourth[at(3)]];
        for [left, right] in [[16, 12], [8, 7]] {
            *a = a.wrapping_add(*b);
            *d = (*d ^ *a).rotate_left(left);
            *c = c.wrapping_add(*d);
            *b = (*b ^ *c).rotate_left(right);
        }
    }
}

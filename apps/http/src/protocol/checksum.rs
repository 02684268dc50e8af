//! The checksum that `/sink` answers with: FNV-1a of 64 bits (Fowler, Noll, Vo), which a test computes in three lines.

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// A checksum that grows with the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksum(u64);

impl Checksum {
    /// Returns the checksum of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self(OFFSET_BASIS)
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        let add = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(PRIME);
        let (blocks, rest) = bytes.as_chunks();
        let sum = blocks.iter().fold(self.0, |sum, [first, second, third, fourth]| {
            add(add(add(add(sum, first), second), third), fourth)
        });
        self.0 = rest.iter().fold(sum, add);
    }

    /// Returns the checksum of what was added.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl Default for Checksum {
    fn default() -> Self {
        Self::new()
    }
}

//! The bytes that `http` sends as `/bytes/N`, and the checksum that its `/sink` answers with.

/// Byte i is i modulo this prime, so that a piece that got lost or moved shows.
const PERIOD: usize = 251;

/// Returns the first `length` bytes of the pattern.
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(byte).collect()
}

/// Returns the place of the first byte that is not the pattern's.
#[must_use]
pub fn first_fault(bytes: &[u8]) -> Option<usize> {
    bytes.iter().enumerate().position(|(index, value)| *value != byte(index))
}

/// Returns the FNV-1a checksum of 64 bits (Fowler, Noll, Vo).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(PRIME))
}

fn byte(index: usize) -> u8 {
    u8::try_from(index % PERIOD).expect("the period is below 256")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_is_wrong_is_found() {
        let mut bytes = pattern(1000);
        assert_eq!(first_fault(&bytes), None);
        bytes[700] ^= 1;
        assert_eq!(first_fault(&bytes), Some(700));
        assert_eq!(first_fault(&pattern(1000)[1..]), Some(0));
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }
}

//! Little-endian fields in byte strings, every access checked: notes, the image table and the multiboot2 header
//! are read and written field by field, so no byte of a file is ever taken for a Rust structure.

/// Reads `N` bytes at `offset`.
pub(crate) fn bytes<const N: usize>(data: &[u8], offset: usize) -> Option<[u8; N]> {
    data.get(offset..)?.first_chunk().copied()
}

/// Reads a 16-bit field.
pub(crate) fn u16_at(data: &[u8], offset: usize) -> Option<u16> {
    bytes(data, offset).map(u16::from_le_bytes)
}

/// Reads a 32-bit field.
pub(crate) fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    bytes(data, offset).map(u32::from_le_bytes)
}

/// Reads a 64-bit field.
pub(crate) fn u64_at(data: &[u8], offset: usize) -> Option<u64> {
    bytes(data, offset).map(u64::from_le_bytes)
}

/// Writes `value` at `offset`; `None` if it does not fit.
pub(crate) fn put<const N: usize>(data: &mut [u8], offset: usize, value: [u8; N]) -> Option<()> {
    *data.get_mut(offset..)?.first_chunk_mut()? = value;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_beyond_the_end_is_not_there() {
        let mut data = [1, 2, 3, 4, 5];
        assert_eq!(u32_at(&data, 1), Some(0x0504_0302));
        assert_eq!(u32_at(&data, 2), None);
        assert_eq!(u64_at(&data, usize::MAX), None);
        assert_eq!(put(&mut data, 4, [0; 2]), None);
        assert_eq!(put(&mut data, 3, [9; 2]), Some(()));
        assert_eq!(data, [1, 2, 3, 9, 9]);
    }
}

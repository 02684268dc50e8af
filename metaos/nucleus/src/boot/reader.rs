//! Reads what the loader left in low memory, while the early tables still map it.
//!
//! The loader is trusted (it could have changed the image itself), but not to be free of mistakes: every length is
//! bounded, and nothing above 4 GiB is read.

use core::ptr;

/// First physical address that the early tables do not map.
const MAPPED_END: u64 = 4 << 30;

/// Reads a little-endian double word at a physical address; 0 where the early tables map nothing.
pub(super) fn read_u32(address: u64) -> u32 {
    let mut bytes = [0; 4];
    read_bytes(address, &mut bytes);
    u32::from_le_bytes(bytes)
}

/// Reads a little-endian quad word at a physical address; 0 where the early tables map nothing.
pub(super) fn read_u64(address: u64) -> u64 {
    let mut bytes = [0; 8];
    read_bytes(address, &mut bytes);
    u64::from_le_bytes(bytes)
}

/// Fills `buffer` from a physical address, with zeros where the early tables map nothing.
pub(super) fn read_bytes(address: u64, buffer: &mut [u8]) {
    let end = address.checked_add(buffer.len() as u64);
    if address == 0 || end.is_none_or(|end| end > MAPPED_END) {
        buffer.fill(0);
        return;
    }
    let from: *const u8 = ptr::with_exposed_provenance(address as usize);
    // SAFETY: the early tables identity-map the low 4 GiB readable, and the range ends below that; `buffer` lies in
    // the nucleus's own memory or stack, which the loader's information does not overlap; any bytes are valid.
    unsafe { ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), buffer.len()) }
}

/// Copies a zero-terminated string, at most as long as `buffer`, and returns its length.
pub(super) fn read_string(address: u64, buffer: &mut [u8]) -> usize {
    for (index, slot) in buffer.iter_mut().enumerate() {
        let mut byte = [0];
        read_bytes(address.saturating_add(index as u64), &mut byte);
        if byte[0] == 0 {
            return index;
        }
        *slot = byte[0];
    }
    buffer.len()
}

//! Memory that a program names in a call: checked, then read or written.

use super::errno::Errno;
use super::{gate, memory};
use abi::Access;
use alloc::vec::Vec;

/// A range of a program's memory that may be used as was asked. Only the table of the program's memory makes one, and it
/// is used before the table changes.
#[derive(Debug)]
pub(super) struct UserSlice {
    start: usize,
    length: usize,
}

impl UserSlice {
    /// Takes a range that has been checked.
    pub(super) const fn of_checked(start: usize, length: usize) -> Self {
        Self { start, length }
    }

    pub(super) const fn start(&self) -> usize {
        self.start
    }

    pub(super) const fn length(&self) -> usize {
        self.length
    }
}

/// Checks that the program may read `length` bytes at `start`.
pub(super) fn readable(start: u64, length: u64) -> Result<UserSlice, Errno> {
    memory::check(start, length, Access::READ)
}

/// Checks that the program may write `length` bytes at `start`.
pub(super) fn writable(start: u64, length: u64) -> Result<UserSlice, Errno> {
    memory::check(start, length, Access::WRITE)
}

/// Reads `N` bytes.
pub(super) fn read<const N: usize>(start: u64) -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    gate::copy_from(&readable(start, N as u64)?, 0, &mut bytes);
    Ok(bytes)
}

/// Reads words of 64 bits.
pub(super) fn read_words<const N: usize>(start: u64) -> Result<[u64; N], Errno> {
    let range = readable(start, 8 * N as u64)?;
    Ok(core::array::from_fn(|index| {
        let mut word = [0; 8];
        gate::copy_from(&range, 8 * index, &mut word);
        u64::from_le_bytes(word)
    }))
}

/// Writes bytes.
pub(super) fn write(start: u64, bytes: &[u8]) -> Result<(), Errno> {
    gate::copy_to(&writable(start, bytes.len() as u64)?, 0, bytes);
    Ok(())
}

/// Writes words of 64 bits.
pub(super) fn write_words(start: u64, words: &[u64]) -> Result<(), Errno> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write(start, &bytes)
}

/// Reads a path: bytes up to a zero.
pub(super) fn read_path(start: u64) -> Result<Vec<u8>, Errno> {
    const LONGEST: u64 = 4096;

    let mut path = Vec::new();
    for offset in 0..LONGEST {
        let [byte] = read(start.checked_add(offset).ok_or(Errno::BadAddress)?)?;
        if byte == 0 {
            return Ok(path);
        }
        path.push(byte);
    }
    Err(Errno::Range)
}

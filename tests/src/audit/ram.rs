//! A machine's physical memory, as the audit reads it.

use abi::PhysAddr;

/// Physical memory that can be read.
pub trait PhysicalMemory {
    /// Returns `length` bytes at `start`; `None`: they do not all lie in memory.
    fn bytes(&self, start: PhysAddr, length: usize) -> Option<&[u8]>;

    /// Returns the quad word at `start`; `None`: it does not lie in memory.
    fn quad_word(&self, start: PhysAddr) -> Option<u64> {
        self.bytes(start, size_of::<u64>())?.try_into().ok().map(u64::from_le_bytes)
    }
}

/// Memory from physical address 0 on.
#[derive(Clone, Debug)]
pub struct Ram(pub Vec<u8>);

impl Ram {
    /// Writes bytes, as whoever plants a violation does.
    ///
    /// # Panics
    ///
    /// They do not lie in memory.
    pub fn write(&mut self, start: PhysAddr, bytes: &[u8]) {
        let start = usize::try_from(start.0).expect("an address in memory that this process holds fits");
        self.0[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

impl PhysicalMemory for Ram {
    fn bytes(&self, start: PhysAddr, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(start.0).ok()?;
        self.0.get(start..start.checked_add(length)?)
    }
}

//! Where the parts of a split virtqueue lie in its memory (virtio 1.2, 2.7.2, 2.7.5, 2.7.6, 2.7.8).

use super::MAX_SIZE;
use abi::BusAddr;

const DESCRIPTOR_BYTES: usize = 16;
const USED_ENTRY_BYTES: usize = 8;
/// Flags and index stand before the entries of both rings.
const RING_HEADER_BYTES: usize = 4;
/// The used ring starts on a cache line of its own, away from what the driver writes.
const USED_ALIGNMENT: usize = 64;

/// Offsets of everything in a queue of one size.
#[derive(Clone, Copy, Debug)]
pub struct QueueLayout {
    size: u16,
    /// In lines, so that its alignment is known.
    used: u16,
    total: usize,
}

/// Where the device finds the three parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueAddresses {
    /// Descriptor table.
    pub descriptors: BusAddr,
    /// Available ring ("driver area").
    pub available: BusAddr,
    /// Used ring ("device area").
    pub used: BusAddr,
}

impl QueueLayout {
    /// Lays out a queue; `None` if `size` is not a power of two up to [`MAX_SIZE`].
    #[must_use]
    pub const fn new(size: u16) -> Option<Self> {
        if !size.is_power_of_two() || size > MAX_SIZE {
            return None;
        }
        let entries = size as usize;
        let available = entries * DESCRIPTOR_BYTES;
        let available_end = available + RING_HEADER_BYTES + entries * 2 + 2;
        let used = available_end.next_multiple_of(USED_ALIGNMENT);
        let total = used + RING_HEADER_BYTES + entries * USED_ENTRY_BYTES + 2;
        #[expect(clippy::cast_possible_truncation, reason = "the largest queue takes 27 KiB")]
        Some(Self { size, used: (used / USED_ALIGNMENT) as u16, total })
    }

    /// Returns the bytes that the queue takes.
    #[must_use]
    pub const fn total_bytes(&self) -> usize {
        self.total
    }

    pub(super) const fn size(&self) -> u16 {
        self.size
    }

    pub(super) const fn addresses(&self, start: BusAddr) -> QueueAddresses {
        QueueAddresses {
            descriptors: start,
            available: BusAddr(start.0 + self.available() as u64),
            used: BusAddr(start.0 + self.used() as u64),
        }
    }

    pub(super) const fn descriptor(&self, index: u16) -> usize {
        self.slot(index) * DESCRIPTOR_BYTES
    }

    pub(super) const fn available_flags(&self) -> usize {
        self.available()
    }

    pub(super) const fn available_index(&self) -> usize {
        self.available() + 2
    }

    pub(super) const fn available_entry(&self, index: u16) -> usize {
        self.available() + RING_HEADER_BYTES + self.slot(index) * 2
    }

    /// Where the driver says from which used index on it wants an interrupt.
    pub(super) const fn used_event(&self) -> usize {
        self.available() + RING_HEADER_BYTES + self.size as usize * 2
    }

    pub(super) const fn used_flags(&self) -> usize {
        self.used()
    }

    pub(super) const fn used_index(&self) -> usize {
        self.used() + 2
    }

    pub(super) const fn used_entry(&self, index: u16) -> usize {
        self.used() + RING_HEADER_BYTES + self.slot(index) * USED_ENTRY_BYTES
    }

    /// Where the device says from which available index on it wants a doorbell.
    pub(super) const fn available_event(&self) -> usize {
        self.used() + RING_HEADER_BYTES + self.size as usize * USED_ENTRY_BYTES
    }

    const fn available(&self) -> usize {
        self.size as usize * DESCRIPTOR_BYTES
    }

    const fn used(&self) -> usize {
        self.used as usize * USED_ALIGNMENT
    }

    /// Ring indices run freely; the entry is the index modulo the size, a power of two.
    const fn slot(&self, index: u16) -> usize {
        (index & (self.size - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_aligned_as_virtio_asks_and_do_not_overlap() {
        for shift in 0..=10 {
            let layout = QueueLayout::new(1 << shift).expect("a power of two");
            assert!(layout.available() >= layout.descriptor(layout.size - 1) + DESCRIPTOR_BYTES);
            assert!(layout.used() >= layout.used_event() + 2);
            assert_eq!(layout.available_event() + 2, layout.total_bytes());
            assert!(layout.available().is_multiple_of(2) && layout.used().is_multiple_of(4));
        }
    }

    #[test]
    fn an_odd_or_large_size_is_refused() {
        for size in [0, 3, 1000, 2048, u16::MAX] {
            assert!(QueueLayout::new(size).is_none());
        }
    }
}

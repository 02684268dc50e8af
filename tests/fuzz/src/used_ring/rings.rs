//! The rings as the device sees them (virtio 1.2, 2.7), found by the addresses that the driver tells.

use crate::memory::Memory;
use abi::BusAddr;
use services::io::virtqueue::{Buffer, Direction, QueueAddresses};

const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// The device's side of one queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rings {
    pub(crate) memory: Memory,
    size: u16,
    available: usize,
    used: usize,
}

impl Rings {
    /// Finds the parts in `memory` by their distance from the descriptors, which come first.
    pub(crate) fn new(memory: Memory, size: u16, addresses: &QueueAddresses) -> Self {
        let offset =
            |part: BusAddr| usize::try_from(part.0 - addresses.descriptors.0).expect("a part follows");
        Self { memory, size, available: offset(addresses.available), used: offset(addresses.used) }
    }

    pub(crate) const fn size(&self) -> u16 {
        self.size
    }

    pub(crate) fn available_flags(&self) -> u16 {
        self.memory.read(self.available)
    }

    pub(crate) fn available_index(&self) -> u16 {
        self.memory.read(self.available + 2)
    }

    pub(crate) fn available_entry(&self, index: u16) -> u16 {
        self.memory.read(self.available + 4 + 2 * self.slot(index))
    }

    pub(crate) fn used_event(&self) -> u16 {
        self.memory.read(self.available + 4 + 2 * usize::from(self.size))
    }

    pub(crate) fn used_flags(&self) -> u16 {
        self.memory.read(self.used)
    }

    pub(crate) fn set_used_flags(&self, flags: u16) {
        self.memory.write(self.used, flags);
    }

    pub(crate) fn used_index(&self) -> u16 {
        self.memory.read(self.used + 2)
    }

    pub(crate) fn set_used_index(&self, index: u16) {
        self.memory.write(self.used + 2, index);
    }

    pub(crate) fn used_entry(&self, index: u16) -> (u32, u32) {
        let place = self.used + 4 + 8 * self.slot(index);
        (self.memory.read(place), self.memory.read(place + 4))
    }

    pub(crate) fn set_used_entry(&self, index: u16, head: u32, written: u32) {
        let place = self.used + 4 + 8 * self.slot(index);
        self.memory.write(place, head);
        self.memory.write(place + 4, written);
    }

    /// Gives a chain back as a device does, right or wrong.
    pub(crate) fn finish(&self, head: u32, written: u32) {
        let index = self.used_index();
        self.set_used_entry(index, head, written);
        self.set_used_index(index.wrapping_add(1));
    }

    pub(crate) fn available_event(&self) -> u16 {
        self.memory.read(self.used + 4 + 8 * usize::from(self.size))
    }

    pub(crate) fn set_available_event(&self, index: u16) {
        self.memory.write(self.used + 4 + 8 * usize::from(self.size), index);
    }

    /// Returns the chain that starts at `head`: its descriptors and their buffers.
    pub(crate) fn chain(&self, head: u16) -> Vec<(u16, Buffer)> {
        let mut chain = Vec::new();
        let mut index = head;
        loop {
            assert!(index < self.size, "a descriptor lies in the table");
            assert!(chain.len() < usize::from(self.size), "a chain ends");
            let place = 16 * usize::from(index);
            let flags = self.memory.read::<u16>(place + 12);
            let direction = if flags & WRITE == 0 { Direction::ToDevice } else { Direction::FromDevice };
            let bus = BusAddr(self.memory.read(place));
            chain.push((index, Buffer { bus, length: self.memory.read(place + 8), direction }));
            if flags & NEXT == 0 {
                return chain;
            }
            index = self.memory.read(place + 14);
        }
    }

    const fn slot(&self, index: u16) -> usize {
        (index % self.size) as usize
    }
}

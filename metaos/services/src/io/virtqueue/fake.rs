//! The device's side of a queue, for tests.

use super::layout::QueueLayout;
use super::{Buffer, DESCRIPTOR_NEXT, DESCRIPTOR_WRITE, Direction};
use crate::io::dma::{DmaMemory, Shared};
use abi::BusAddr;
use alloc::vec::Vec;

/// The device's side of a queue.
pub(crate) struct Device<M> {
    pub(crate) shared: Shared<M>,
    pub(crate) layout: QueueLayout,
    available: u16,
    used: u16,
}

impl<M: DmaMemory> Device<M> {
    /// Stands at the start of an empty queue of `size` entries in `memory`.
    pub(crate) fn new(memory: M, size: u16) -> Self {
        let layout = QueueLayout::new(size).expect("a good size");
        Self { shared: Shared::new(memory), layout, available: 0, used: 0 }
    }

    /// Takes the next chain: its head and its buffers.
    pub(crate) fn take(&mut self) -> Option<(u16, Vec<Buffer>)> {
        if self.shared.load_index(self.layout.available_index()) == self.available {
            return None;
        }
        let head = self.shared.load_u16(self.layout.available_entry(self.available));
        self.available = self.available.wrapping_add(1);
        let mut buffers = Vec::new();
        let mut index = head;
        loop {
            let place = self.layout.descriptor(index);
            let [low, high, length, flags] =
                core::array::from_fn(|word| u64::from(self.shared.load_u32(place + 4 * word)));
            let writes = flags & DESCRIPTOR_WRITE != 0;
            buffers.push(Buffer {
                bus: BusAddr(low | high << 32),
                length: u32::try_from(length).unwrap(),
                direction: if writes { Direction::FromDevice } else { Direction::ToDevice },
            });
            if flags & DESCRIPTOR_NEXT == 0 {
                return Some((head, buffers));
            }
            index = u16::try_from(flags >> 16).unwrap();
        }
    }

    /// Gives a chain back.
    pub(crate) fn finish(&mut self, head: u32, written: u32) {
        let entry = self.layout.used_entry(self.used);
        self.store_u32(entry, head);
        self.store_u32(entry + 4, written);
        self.used = self.used.wrapping_add(1);
        self.shared.store_index(self.layout.used_index(), self.used);
    }

    fn store_u32(&self, offset: usize, value: u32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.shared.store_u16(offset, u16::from_le_bytes([a, b]));
        self.shared.store_u16(offset + 2, u16::from_le_bytes([c, d]));
    }

    /// Claims an index, right or wrong.
    pub(crate) fn claim(&self, index: u16) {
        self.shared.store_index(self.layout.used_index(), index);
    }

    /// Returns the used index from which on the driver wants an interrupt.
    pub(crate) fn used_event(&self) -> u16 {
        self.shared.load_u16(self.layout.used_event())
    }
}

//! The device's side of a split virtqueue (virtio 1.2, 2.7), on the guest's own memory.

use crate::linux::Piece;
use abi::BusAddr;
use core::ptr;

const DESCRIPTOR_BYTES: u64 = 16;
const USED_ENTRY_BYTES: u64 = 8;
const RING_HEADER_BYTES: u64 = 4;
/// `VIRTQ_DESC_F_NEXT`.
const NEXT: u16 = 1;

/// A queue; addresses are those of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    size: u16,
    descriptors: u64,
    available: u64,
    used: u64,
    /// The first available entry that was not taken, and the next used one; both run freely.
    taken: u16,
    given: u16,
    asks: bool,
}

impl Queue {
    pub(super) const NONE: Self =
        Self { size: 0, descriptors: 0, available: 0, used: 0, taken: 0, given: 0, asks: false };

    pub(super) const fn new(size: u16, descriptors: BusAddr, available: BusAddr, used: BusAddr) -> Self {
        Self {
            size,
            descriptors: descriptors.0,
            available: available.0,
            used: used.0,
            taken: 0,
            given: 0,
            asks: false,
        }
    }

    /// Returns how many chains wait to be taken.
    pub(super) fn waiting(&self) -> u16 {
        if self.size == 0 {
            return 0;
        }
        self.load_u16(self.available + 2).wrapping_sub(self.taken).min(self.size)
    }

    /// Returns the head of the chain that is `ahead` places behind the next to be taken.
    pub(super) fn head(&self, ahead: u16) -> u16 {
        let place = self.taken.wrapping_add(ahead) % self.size;
        self.load_u16(self.available + RING_HEADER_BYTES + 2 * u64::from(place))
    }

    /// Writes the pieces of the chain that starts at `head` into `pieces` and returns how many they are; a longer chain is
    /// cut.
    pub(super) fn pieces(&self, head: u16, pieces: &mut [Piece]) -> usize {
        let mut index = head;
        for (count, place) in pieces.iter_mut().enumerate() {
            if index >= self.size {
                return count;
            }
            let descriptor = self.descriptors + DESCRIPTOR_BYTES * u64::from(index);
            *place =
                Piece { start: self.load_u64(descriptor), length: u64::from(self.load_u32(descriptor + 8)) };
            if self.load_u16(descriptor + 12) & NEXT == 0 {
                return count + 1;
            }
            index = self.load_u16(descriptor + 14);
        }
        pieces.len()
    }

    /// Takes the next chain and gives it back with `written` bytes.
    pub(super) fn finish(&mut self, written: u32) {
        let head = self.head(0);
        self.taken = self.taken.wrapping_add(1);
        let entry = self.used + RING_HEADER_BYTES + USED_ENTRY_BYTES * u64::from(self.given % self.size);
        self.store_u32(entry, u32::from(head));
        self.store_u32(entry + 4, written);
        self.given = self.given.wrapping_add(1);
        self.store_u16(self.used + 2, self.given);
    }

    /// Wants to hear of the next chain.
    pub(super) fn ask_for_notification(&mut self, by_index: bool) {
        self.asks = true;
        if by_index && self.size != 0 {
            self.store_u16(
                self.used + RING_HEADER_BYTES + USED_ENTRY_BYTES * u64::from(self.size),
                self.taken_all(),
            );
        }
    }

    /// Does not care for the next chain. (It may hear of one all the same.)
    pub(super) fn ask_for_no_notification(&mut self) {
        self.asks = false;
    }

    /// Tells whether it waits to hear of the next chain.
    pub(super) const fn asks_for_notification(&self) -> bool {
        self.asks
    }

    /// Returns the index that the next chain will have.
    fn taken_all(&self) -> u16 {
        self.load_u16(self.available + 2)
    }

    fn load_u16(&self, address: u64) -> u16 {
        // SAFETY: the driver has handed the rings over for the device to use, and takes them back by a reset, which
        // makes the queue empty. Its addresses are aligned as virtio asks.
        unsafe { pointer::<u16>(address).read_volatile() }
    }

    fn load_u32(&self, address: u64) -> u32 {
        // SAFETY: as in `load_u16`.
        unsafe { pointer::<u32>(address).read_volatile() }
    }

    fn load_u64(&self, address: u64) -> u64 {
        // SAFETY: as in `load_u16`.
        unsafe { pointer::<u64>(address).read_volatile() }
    }

    fn store_u16(&self, address: u64, value: u16) {
        // SAFETY: as in `load_u16`.
        unsafe { pointer::<u16>(address).write_volatile(value) }
    }

    fn store_u32(&self, address: u64, value: u32) {
        // SAFETY: as in `load_u16`.
        unsafe { pointer::<u32>(address).write_volatile(value) }
    }
}

/// Copies `bytes` to the start of a buffer of the driver.
pub(super) fn copy_to(piece: Piece, bytes: &[u8]) {
    let length = bytes.len().min(piece.length as usize);
    // SAFETY: a buffer that the driver has made available is the device's to write; its length is respected.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), pointer::<u8>(piece.start), length) }
}

fn pointer<T>(address: u64) -> *mut T {
    ptr::with_exposed_provenance_mut(address as usize)
}

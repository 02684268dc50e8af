//! Memory that a device reads and writes.
//!
//! Ring fields go through `Shared`: single loads and stores of the width virtio names, each inside the memory, with
//! the ordering that the rings need. Packet buffers come from a [`BufferPool`] and are used in place as slices. A
//! device that writes a buffer it has given back can make its bytes change under the reader, and nothing worse:
//! bytes have no invalid values, and no length or index is ever taken twice from such memory.

use crate::machine;
use crate::memory::ranges::Range;
use crate::memory::state::{self, StateVec};
use crate::memory::{Area, Error, pointer};
use abi::{BusAddr, PAGE_SIZE, VirtAddr};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Memory that a device can reach, contiguous on the bus.
///
/// # Safety
///
/// `[start, start + length)` stays mapped for reading and writing while the value lives, is 16-byte aligned, belongs
/// to no other Rust object, and is the memory that `bus` names.
pub unsafe trait DmaMemory {
    /// Returns the first byte.
    fn start(&self) -> NonNull<u8>;
    /// Returns the number of bytes.
    fn length(&self) -> usize;
    /// Returns where the device sees the first byte.
    fn bus(&self) -> BusAddr;
}

/// Owner of contiguous DMA memory; unmaps it on drop. Stop the device first.
#[derive(Debug)]
pub struct DmaRegion {
    range: Range,
    bus: BusAddr,
}

impl DmaRegion {
    /// Maps at least `length` zeroed bytes.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn new(area: Area, length: usize, name: &str) -> Result<Self, Error> {
        let range = Range::reserve(area, length, PAGE_SIZE, name)?;
        let bus = machine::current().map_dma(range.start(), range.length(), PAGE_SIZE)?;
        Ok(Self { range, bus })
    }
}

impl Drop for DmaRegion {
    fn drop(&mut self) {
        if machine::current().unmap(self.range.start(), self.range.length()).is_err() {
            self.range.abandon();
        }
    }
}

// SAFETY: the range is mapped as DMA memory from `new` to `drop`, page-aligned, and owned by this value.
unsafe impl DmaMemory for DmaRegion {
    fn start(&self) -> NonNull<u8> {
        pointer::at(self.range.start())
    }

    fn length(&self) -> usize {
        self.range.length()
    }

    fn bus(&self) -> BusAddr {
        self.bus
    }
}

/// Checked access to the fields of a structure shared with a device.
///
/// Offsets are our own and lie inside by construction; an offset that does not is a defect, and panics.
#[derive(Debug)]
pub(crate) struct Shared<M> {
    memory: M,
}

impl<M: DmaMemory> Shared<M> {
    pub(crate) const fn new(memory: M) -> Self {
        Self { memory }
    }

    pub(crate) const fn memory(&self) -> &M {
        &self.memory
    }

    /// Reads an index that the device publishes: what the device wrote before it is seen by later reads.
    #[inline]
    pub(crate) fn load_index(&self, offset: usize) -> u16 {
        u16::from_le(self.u16_at(offset).load(Ordering::Acquire))
    }

    /// Publishes an index: earlier writes are seen by a device that sees it.
    #[inline]
    pub(crate) fn store_index(&self, offset: usize, value: u16) {
        self.u16_at(offset).store(value.to_le(), Ordering::Release);
    }

    #[inline]
    pub(crate) fn load_u16(&self, offset: usize) -> u16 {
        u16::from_le(self.u16_at(offset).load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn store_u16(&self, offset: usize, value: u16) {
        self.u16_at(offset).store(value.to_le(), Ordering::Relaxed);
    }

    /// Reads two fields in a row.
    #[inline]
    pub(crate) fn load_pair(&self, offset: usize) -> [u32; 2] {
        let place = self.place::<[u32; 2]>(offset).cast::<u32>().as_ptr();
        // SAFETY: `place` gives an aligned address of two fields inside the memory, which lives as long as `self`; all
        // access to shared fields is atomic.
        let [first, second] = unsafe { [AtomicU32::from_ptr(place), AtomicU32::from_ptr(place.add(1))] };
        [u32::from_le(first.load(Ordering::Relaxed)), u32::from_le(second.load(Ordering::Relaxed))]
    }

    /// Writes two fields in a row.
    #[inline]
    pub(crate) fn store_pair(&self, offset: usize, values: [u64; 2]) {
        let place = self.place::<[u64; 2]>(offset).cast::<u64>().as_ptr();
        // SAFETY: as in `load_pair`.
        let [first, second] = unsafe { [AtomicU64::from_ptr(place), AtomicU64::from_ptr(place.add(1))] };
        first.store(values[0].to_le(), Ordering::Relaxed);
        second.store(values[1].to_le(), Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn load_u32(&self, offset: usize) -> u32 {
        let place = self.place::<u32>(offset);
        // SAFETY: as in `load_pair`.
        u32::from_le(unsafe { AtomicU32::from_ptr(place.as_ptr()) }.load(Ordering::Relaxed))
    }

    #[cfg(test)]
    pub(crate) fn store_u64(&self, offset: usize, value: u64) {
        let place = self.place::<u64>(offset);
        // SAFETY: as in `load_pair`.
        unsafe { AtomicU64::from_ptr(place.as_ptr()) }.store(value.to_le(), Ordering::Relaxed);
    }

    #[inline]
    fn u16_at(&self, offset: usize) -> &AtomicU16 {
        let place = self.place::<u16>(offset);
        // SAFETY: as in `load_pair`.
        unsafe { AtomicU16::from_ptr(place.as_ptr()) }
    }

    #[inline]
    fn place<T>(&self, offset: usize) -> NonNull<T> {
        let is_inside = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.memory.length());
        assert!(is_inside && offset.is_multiple_of(align_of::<T>()), "a ring field lies in its memory");
        // SAFETY: the offset has just been checked to lie inside.
        unsafe { self.memory.start().add(offset) }.cast()
    }
}

/// Equal buffers for packets, consecutive in virtual memory; contiguous on the bus within each. What lies in several
/// buffers in a row is therefore one slice, though several descriptors.
///
/// Mapped in chunks, because a machine with little memory may have no long contiguous run left.
#[derive(Debug)]
pub struct BufferPool {
    range: Range,
    bus: StateVec<BusAddr>,
    size: usize,
    /// Bytes from the start of the range that are mapped.
    mapped: usize,
}

/// About how much is mapped at a time, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

impl BufferPool {
    /// Maps `count` buffers of `size` bytes each. `size` divides 64 KiB, or is a multiple of the page size.
    ///
    /// # Errors
    ///
    /// [`Error::BadLength`] for another size or no buffer at all; else what mapping them returned.
    pub fn new(count: usize, size: usize, name: &str) -> Result<Self, Error> {
        let is_fitting = size > 0 && (CHUNK_BYTES.is_multiple_of(size) || size.is_multiple_of(PAGE_SIZE));
        let length = count.checked_mul(size).filter(|_| is_fitting).ok_or(Error::BadLength)?;
        let range = Range::reserve(Area::PacketPool, length, PAGE_SIZE, name)?;
        let mut pool = Self { range, bus: state::vector(), size, mapped: 0 };
        pool.bus.reserve_exact(count);
        while pool.bus.len() < count {
            pool.map_chunk(count)?;
        }
        Ok(pool)
    }

    /// Returns the number of buffers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bus.len()
    }

    /// Returns the bytes of each buffer.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Returns where the device sees a buffer.
    ///
    /// # Panics
    ///
    /// If there is no such buffer; indices are checked before they come here.
    #[must_use]
    pub fn bus(&self, index: usize) -> BusAddr {
        self.bus[index]
    }

    /// Returns `length` bytes from byte `start` of the pool on. Meant for bytes that no descriptor in flight names; see
    /// the module's text for what a hostile device can do all the same.
    ///
    /// # Panics
    ///
    /// If they do not lie in the pool.
    #[must_use]
    #[inline]
    pub fn span(&mut self, start: usize, length: usize) -> &mut [u8] {
        let is_inside = length <= self.mapped && start <= self.mapped - length;
        assert!(is_inside, "a span of a pool lies in the pool");
        // SAFETY: 1. the pool is mapped for reading and writing up to `mapped`, beyond which the span does not reach;
        // 2. `&mut self` excludes other slices of it; 3. the bytes were zeroed when mapped.
        unsafe {
            let start = pointer::at(self.range.start()).add(start);
            core::slice::from_raw_parts_mut(start.as_ptr(), length)
        }
    }

    fn map_chunk(&mut self, count: usize) -> Result<(), Error> {
        // Whole buffers, so that the next chunk starts where the next buffer does.
        let chunk = self.size * (CHUNK_BYTES / self.size).max(1);
        let length = chunk.min(self.range.length() - self.mapped);
        let start = VirtAddr(self.range.start().0 + self.mapped as u64);
        let bus = machine::current().map_dma(start, length, PAGE_SIZE)?;
        self.mapped += length;
        let offsets = (0..length / self.size).map(|index| (index * self.size) as u64);
        let missing = count - self.bus.len();
        self.bus.extend(offsets.take(missing).map(|offset| BusAddr(bus.0 + offset)));
        Ok(())
    }
}

impl Drop for BufferPool {
    fn drop(&mut self) {
        if self.mapped > 0 && machine::current().unmap(self.range.start(), self.mapped).is_err() {
            self.range.abandon();
        }
    }
}

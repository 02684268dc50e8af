//! A range that is mapped from its start on, further and further.
//!
//! Steps start small, so that a machine of 8 MiB is not spent on a guest that allocates little, and grow to a quarter of
//! what there is; from 1 MiB on they end on large-page boundaries, and the machine maps large pages.

use super::pointer;
use crate::machine;
use abi::address::LARGE_PAGE_SIZE;
use abi::{Access, PAGE_SIZE, VirtAddr};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// A range of addresses, mapped up to its end.
#[derive(Debug)]
pub(super) struct Span {
    start: VirtAddr,
    limit: VirtAddr,
    first_step: usize,
    /// Atomic because crash reports read it while a heap may be locked.
    end: AtomicU64,
}

/// Memory that was mapped at the end of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown {
    pub(super) start: NonNull<u8>,
    pub(super) bytes: usize,
}

impl Span {
    /// Returns a span of which nothing is mapped.
    pub(super) const fn new(start: VirtAddr, limit: VirtAddr, first_step: usize) -> Self {
        Self { start, limit, first_step, end: AtomicU64::new(start.0) }
    }

    /// Returns the address after the last mapped byte.
    pub(super) fn end(&self) -> VirtAddr {
        VirtAddr(self.end.load(Ordering::Relaxed))
    }

    /// Maps at least `needed` bytes at the end; `None` if there is no memory for them. Of two calls at the same time, the
    /// machine maps one, and the other gets nothing.
    pub(super) fn grow(&self, needed: usize) -> Option<Grown> {
        let end = self.end();
        let room = usize::try_from(self.limit.0 - end.0).ok()?;
        let least = needed.checked_next_multiple_of(PAGE_SIZE).filter(|bytes| *bytes <= room)?;
        let wanted = self.step(least)?.min(room);
        let machine = machine::current();
        let map = |bytes: &usize| machine.map(end, *bytes, Access::READ_WRITE).is_ok();
        let bytes = [wanted, least].into_iter().find(map)?;
        self.end.store(end.0 + bytes as u64, Ordering::Relaxed);
        Some(Grown { start: pointer::at(end), bytes })
    }

    /// Returns how far to grow if memory allows: geometrically, and to a large-page boundary once that is a small part.
    fn step(&self, least: usize) -> Option<usize> {
        let size = usize::try_from(self.end().0 - self.start.0).ok()?;
        let wanted = least.max(self.first_step).max(size / 4).next_multiple_of(PAGE_SIZE);
        if wanted < LARGE_PAGE_SIZE / 2 {
            return Some(wanted);
        }
        Some((size + wanted).next_multiple_of(LARGE_PAGE_SIZE) - size)
    }
}

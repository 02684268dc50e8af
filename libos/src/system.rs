//! What the guest is made of: figures for a program that reports them.

use crate::task;
use services::machine;
use services::memory::heap;

/// Returns the bytes of memory that the guest had at its start.
#[must_use]
pub fn memory_bytes() -> u64 {
    machine::current().boot().memory_bytes
}

/// Returns the bytes that the heap has taken of them so far.
#[must_use]
pub fn heap_bytes() -> u64 {
    heap::size()
}

/// Returns how many threads there are.
#[must_use]
pub fn threads() -> usize {
    task::thread_count()
}

//! The heap: talc over memory that is mapped in growing steps.
//!
//! A heap is one piece that grows at its end, which keeps the growing of a large `Vec` in place. Pages are not given
//! back: a guest is alone with its memory.

use super::span::Span;
use abi::{VirtAddr, layout};
use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;
use talc::DefaultBinning;
use talc::base::binning::Binning;
use talc::base::{CHUNK_UNIT, Talc};
use talc::source::Source;

/// What talc takes beyond the bytes asked for: tags, alignment of its chunks and, once, its table of bins.
const OVERHEAD: usize = 8 * CHUNK_UNIT + talc::min_first_heap_size::<DefaultBinning>();

/// The guest's heap.
static GUEST: Span = Span::new(layout::HEAP, layout::HEAP_END, 64 << 10);
/// Size of the last allocation that failed; 0: none did.
static FAILED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A heap; the global allocator of a guest is one.
pub struct Heap {
    talc: Mutex<Talc<Growth, DefaultBinning>>,
}

/// Where talc's memory comes from, and where it ends; nothing is mapped as long as there is no end.
#[derive(Debug)]
struct Growth {
    span: &'static Span,
    end: Option<NonNull<u8>>,
}

/// Returns the address after the last mapped byte of the guest's heap.
#[must_use]
pub fn end() -> VirtAddr {
    GUEST.end()
}

/// Returns the bytes that are mapped for the guest's heap.
#[must_use]
pub fn size() -> u64 {
    end().0 - layout::HEAP.0
}

/// Returns the bytes of the last allocation that failed, if one did: by it the panic handler tells "out of memory"
/// from other panics, since on stable Rust a failed allocation arrives as a panic.
#[must_use]
pub fn failed_bytes() -> Option<usize> {
    Some(FAILED_BYTES.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0)
}

impl Heap {
    /// Returns the guest's heap, which maps nothing yet. There is one range of addresses for it, which a second one would
    /// share.
    #[must_use]
    pub const fn new() -> Self {
        Self::over(&GUEST)
    }

    /// Returns a heap over a range of its own.
    pub(super) const fn over(span: &'static Span) -> Self {
        Self { talc: Mutex::new(Talc::new(Growth { span, end: None })) }
    }
}

impl Default for Heap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").finish_non_exhaustive()
    }
}

// SAFETY: 1. talc returns blocks that fit the layout and do not overlap until they are freed. 2. The lock makes each
// operation whole. 3. Nothing here panics: every failure is a null pointer.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises that the size is not zero.
        match unsafe { self.talc.lock().allocate(layout) } {
            Some(block) => block.as_ptr(),
            None => fail(layout.size()),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that `block` came from here with this layout.
        unsafe { self.talc.lock().deallocate(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `block` came from here with this layout, and that `new_size` is not zero.
        if unsafe { self.talc.lock().try_realloc_in_place(block, layout, new_size) } {
            return block;
        }
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, does not overflow `isize`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the size is not zero.
        let new_block = unsafe { self.alloc(new_layout) };
        if !new_block.is_null() {
            // SAFETY: both blocks are live, distinct, and hold the smaller of the two sizes; the old one is not used
            // after it is freed.
            unsafe {
                core::ptr::copy_nonoverlapping(block, new_block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
        }
        new_block
    }
}

fn fail(bytes: usize) -> *mut u8 {
    FAILED_BYTES.store(bytes, Ordering::Relaxed);
    core::ptr::null_mut()
}

// SAFETY: `acquire` calls the machine only, which does not allocate from this heap.
unsafe impl Source for Growth {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let needed = layout.size().checked_add(layout.align()).and_then(|bytes| bytes.checked_add(OVERHEAD));
        let grown = needed.and_then(|bytes| talc.source.span.grow(bytes)).ok_or(())?;
        let new_end = match talc.source.end.filter(|end| *end == grown.start) {
            // SAFETY: `end` is what talc returned last, and the memory from there on has just been mapped for this heap
            // alone, and stays mapped.
            Some(end) => unsafe { talc.extend(end, grown.start.as_ptr().add(grown.bytes)) },
            // SAFETY: as above, and nothing of it is talc's already.
            None => unsafe { talc.claim(grown.start.as_ptr(), grown.bytes) }.ok_or(())?,
        };
        talc.source.end = Some(new_end);
        Ok(())
    }
}

// SAFETY: the pointer is the heap's end, which belongs to no thread.
unsafe impl Send for Growth {}

#[cfg(test)]
mod tests;

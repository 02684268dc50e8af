//! The services' own heap.
//!
//! What the services remember (which ranges are taken, which descriptors are in flight) lies apart from the guest's
//! heap: a guest that overruns a buffer does not reach it, and where services stand behind a protection boundary their
//! state is one range of addresses.

use super::heap::Heap;
use super::span::Span;
use abi::{VirtAddr, layout};
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

/// A vector in the services' own heap.
pub(crate) type StateVec<T> = allocator_api2::vec::Vec<T, State>;

/// Where ranges of the service state begin; below lies the heap.
pub(super) const STATE_HEAP_END: VirtAddr = VirtAddr(layout::SERVICE_STATE.0 + (1 << 38));

static SPAN: Span = Span::new(layout::SERVICE_STATE, STATE_HEAP_END, 16 << 10);
static HEAP: Heap = Heap::over(&SPAN);

/// The services' own heap, as an allocator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State;

/// Returns an empty vector.
pub(crate) const fn vector<T>() -> StateVec<T> {
    StateVec::new_in(State)
}

// SAFETY: 1. blocks come from one static heap, which all copies share; 2. they stay valid until they are freed; 3. a block
// is freed with the layout it was allocated with.
unsafe impl Allocator for State {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            let dangling = core::ptr::without_provenance_mut(layout.align());
            return NonNull::new(dangling)
                .map(|start| NonNull::slice_from_raw_parts(start, 0))
                .ok_or(AllocError);
        }
        // SAFETY: the size is not zero.
        let start = NonNull::new(unsafe { HEAP.alloc(layout) }).ok_or(AllocError)?;
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            // SAFETY: the caller promises that `allocate` returned `block` for this layout.
            unsafe { HEAP.dealloc(block.as_ptr(), layout) }
        }
    }
}

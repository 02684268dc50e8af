//! DMA memory of a test: plain memory with a fence on both sides.

use crate::io::dma::DmaMemory;
use crate::io::virtqueue::QueueLayout;
use abi::BusAddr;
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use core::ptr::NonNull;

const BUS: u64 = 0x1234_5000;

/// Memory of the test, shared by driver and device, with untouched bytes around it that are checked at the end.
#[derive(Clone, Debug)]
pub(super) struct Plain(Rc<Block>);

/// The memory itself; freed with its last user.
#[derive(Debug)]
struct Block {
    start: NonNull<u64>,
    words: usize,
}

const FENCE: u64 = 0xfefe_fefe_fefe_fefe;
const FENCE_WORDS: usize = 64;

impl Plain {
    pub(super) fn new(size: u16) -> Self {
        // The queue's own books come from the services' heap, which maps.
        crate::mock::install();
        let words =
            QueueLayout::new(size).expect("a good size").total_bytes().div_ceil(8).next_multiple_of(2);
        let mut block = vec![FENCE; words + 2 * FENCE_WORDS].into_boxed_slice();
        block[FENCE_WORDS..FENCE_WORDS + words].fill(0);
        let start = NonNull::new(Box::into_raw(block).cast::<u64>()).expect("a box is somewhere");
        Self(Rc::new(Block { start, words }))
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let whole = core::ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.words + 2 * FENCE_WORDS);
        // SAFETY: made by `Box::into_raw` with this length, and dropped once.
        let block = unsafe { Box::from_raw(whole) };
        let (before, rest) = block.split_at(FENCE_WORDS);
        let after = &rest[self.words..];
        assert!(before.iter().chain(after).all(|word| *word == FENCE), "written out of bounds");
    }
}

// SAFETY: the block lives as long as any copy, is 16-byte aligned by the allocator for its size, and is used through
// `Shared` only. No real device sees it.
unsafe impl DmaMemory for Plain {
    fn start(&self) -> NonNull<u8> {
        // SAFETY: the fence before it is part of the block.
        unsafe { self.0.start.add(FENCE_WORDS) }.cast()
    }

    fn length(&self) -> usize {
        self.0.words * 8
    }

    fn bus(&self) -> BusAddr {
        BusAddr(BUS)
    }
}

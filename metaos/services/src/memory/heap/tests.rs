//! The heap, on real pages at its real address. One test, because there is one heap.

use super::{Heap, end, failed_bytes, size};
use crate::mock;
use abi::address::LARGE_PAGE_SIZE;
use abi::layout;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};

#[test]
fn the_heap_grows_in_steps_and_says_when_there_is_no_more() {
    mock::install();
    let heap = Heap::new();
    assert_eq!(end(), layout::HEAP);

    let small = Layout::from_size_align(100, 8).unwrap();
    let blocks: Vec<*mut u8> = (0_u8..100).map(|value| filled(&heap, small, value)).collect();
    assert_eq!(size(), 64 << 10, "little is mapped for little");
    for (value, block) in (0_u8..).zip(&blocks) {
        check(*block, small, value);
    }

    let large = Layout::from_size_align(5 << 20, 1 << 16).unwrap();
    let block = filled(&heap, large, 0xaa);
    assert!(block.addr().is_multiple_of(1 << 16));
    assert!(usize::try_from(size()).unwrap().is_multiple_of(LARGE_PAGE_SIZE));

    // SAFETY: the block came from this heap with this layout.
    let grown = unsafe { heap.realloc(block, large, 9 << 20) };
    check(grown, large, 0xaa);
    let before = size();

    let huge = Layout::from_size_align(64 << 20, 8).unwrap();
    // SAFETY: the size is not zero.
    assert!(unsafe { heap.alloc(huge) }.is_null());
    assert_eq!(failed_bytes(), Some(64 << 20));
    assert_eq!(size(), before, "a failure changes nothing");

    let beyond = Layout::from_size_align(1 << 45, 8).unwrap();
    // SAFETY: the size is not zero.
    assert!(unsafe { heap.alloc(beyond) }.is_null());

    let new_layout = Layout::from_size_align(9 << 20, 1 << 16).unwrap();
    // SAFETY: all blocks came from this heap with these layouts, and are freed once.
    unsafe {
        heap.dealloc(grown, new_layout);
        for block in blocks {
            heap.dealloc(block, small);
        }
    }
    let again = filled(&heap, new_layout, 1);
    assert_eq!(size(), before, "what was freed is used again");
    check(again, new_layout, 1);
}

fn filled(heap: &Heap, layout: Layout, value: u8) -> *mut u8 {
    // SAFETY: the size is not zero, and the block holds it.
    unsafe {
        let block = heap.alloc(layout);
        assert!(!block.is_null());
        block.write_bytes(value, layout.size());
        block
    }
}

fn check(block: *const u8, layout: Layout, value: u8) {
    // SAFETY: the block is live and was written in full.
    let bytes = unsafe { core::slice::from_raw_parts(block, layout.size()) };
    assert!(bytes.iter().all(|byte| *byte == value));
}

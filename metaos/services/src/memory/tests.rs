//! Ranges, mappings and stacks, on real pages.

use super::ranges::{GUARD_SIZE, Range};
use super::stack::{MINIMUM_BYTES, Stack};
use super::{Area, Description, Error, Mapping, Name, Part, Subject, describe, pointer};
use crate::mock;
use abi::{Access, PAGE_SIZE, VirtAddr, layout};
use alloc::string::ToString;
use alloc::vec::Vec;

#[test]
fn ranges_lie_apart_by_a_guard_and_are_used_again() {
    mock::install();
    let take = || Range::reserve(Area::DeviceWindows, 100, PAGE_SIZE, "a range").expect("the area is empty");
    let (first, second) = (take(), take());
    let [low, high] = if first.start() < second.start() { [&first, &second] } else { [&second, &first] };
    assert_eq!(low.length(), PAGE_SIZE);
    assert!(high.start().0 - low.start().0 >= (PAGE_SIZE + GUARD_SIZE) as u64);
    let freed = first.start();
    drop(first);
    assert_eq!(take().start(), freed);
}

#[test]
fn a_range_is_aligned_as_asked() {
    mock::install();
    let range =
        Range::reserve(Area::Anonymous, 3 * PAGE_SIZE, 2 << 20, "aligned").expect("the area is large");
    assert!(range.start().is_aligned(2 << 20));
    for alignment in [0, 8, 3 * PAGE_SIZE] {
        let refused = Range::reserve(Area::Anonymous, PAGE_SIZE, alignment, "x");
        assert_eq!(refused.err(), Some(Error::BadAlignment));
    }
}

#[test]
fn an_impossible_length_is_refused() {
    let reserve = |length| Range::reserve(Area::Stacks, length, PAGE_SIZE, "x").err();
    assert_eq!(reserve(0), Some(Error::BadLength));
    assert_eq!(reserve(usize::MAX), Some(Error::BadLength));
    assert_eq!(reserve(1 << 41), Some(Error::BadLength));
    assert_eq!(reserve(1 << 40), Some(Error::BadLength));
    // The whole area, where guard and main stack already lie.
    let rest = Area::Stacks.end().0 - Area::Stacks.start().0;
    assert_eq!(reserve(usize::try_from(rest).unwrap()), Some(Error::NoRoom));
}

#[test]
fn a_thousand_ranges_do_not_overlap() {
    mock::install();
    let mut ranges: Vec<Range> = (1..1000)
        .map(|pages| Range::reserve(Area::ServiceState, pages * PAGE_SIZE, PAGE_SIZE, "one of many").unwrap())
        .collect();
    let mut index = 0;
    ranges.retain(|_| {
        index += 1;
        index % 3 != 0
    });
    for pages in 1..300 {
        ranges.push(
            Range::reserve(Area::ServiceState, pages * 2 * PAGE_SIZE, PAGE_SIZE, "a later one").unwrap(),
        );
    }
    ranges.sort_by_key(Range::start);
    for pair in ranges.windows(2) {
        assert!(pair[0].start().0 + pair[0].length() as u64 + GUARD_SIZE as u64 <= pair[1].start().0);
    }
}

#[test]
fn a_writable_executable_mapping_is_refused() {
    mock::install();
    let refused = Mapping::new(Area::Anonymous, PAGE_SIZE, Access::all(), "bad");
    assert_eq!(refused.err(), Some(Error::WritableAndExecutable));
    let mapping = Mapping::new(Area::Anonymous, PAGE_SIZE, Access::READ_WRITE, "good").unwrap();
    assert_eq!(mapping.protect(Access::all()), Err(Error::WritableAndExecutable));
    assert_eq!(mapping.protect(Access::READ_EXECUTE), Ok(()));
}

#[test]
fn a_mapping_is_zeroed_memory_until_it_is_dropped() {
    let machine = mock::install();
    let mapping = Mapping::new(Area::Anonymous, 2 * PAGE_SIZE, Access::READ_WRITE, "memory").unwrap();
    let place = pointer::at(mapping.start());
    // SAFETY: the page has just been mapped for this test.
    unsafe {
        assert_eq!(place.read(), 0);
        place.write(7);
    }
    let start = mapping.start();
    drop(mapping);
    abi::Machine::map(machine, start, PAGE_SIZE, Access::READ).expect("nothing is mapped there any more");
    abi::Machine::unmap(machine, start, PAGE_SIZE).unwrap();
}

#[test]
fn an_address_below_a_stack_is_the_guard_of_its_thread() {
    mock::install();
    let stack = Stack::new(1, "worker-1").unwrap();
    assert_eq!(stack.size(), MINIMUM_BYTES);
    assert_eq!(stack.name(), "worker-1");
    assert!(stack.top().is_aligned(16));
    let at = |address| describe(VirtAddr(address)).expect("the stack is known");
    let name = Name::from("worker-1");
    let guard = Description { subject: Subject::Stack, name, part: Part::Guard };
    assert_eq!(at(stack.bottom().0 - 1), guard);
    assert_eq!(at(stack.bottom().0 - GUARD_SIZE as u64), guard);
    assert_eq!(guard.to_string(), "the guard page of the stack of thread worker-1");
    assert_eq!(at(stack.bottom().0), Description { part: Part::Body, ..guard });
    assert_eq!(at(stack.top().0 - 1), Description { part: Part::Body, ..guard });
    let bottom = stack.bottom();
    drop(stack);
    assert_ne!(describe(bottom).map(|description| description.name), Some(name));
}

#[test]
fn fixed_places_are_described_without_a_table() {
    let text = |address| describe(address).map(|description| description.to_string());
    assert_eq!(text(VirtAddr(8)).as_deref(), Some("the null page"));
    assert_eq!(text(layout::STACKS).as_deref(), Some("the guard page of the stack of thread main"));
    assert_eq!(text(layout::MAIN_STACK).as_deref(), Some("the stack of thread main"));
    assert_eq!(text(VirtAddr(u64::MAX)), None);
    assert_eq!(text(layout::NUCLEUS), None);
}

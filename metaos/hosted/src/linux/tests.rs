//! The gate, which in a guest is the entry crate's, and what the calls do on the host that runs the tests.

use super::*;

core::arch::global_asm!(
    ".globl metaos_gate, metaos_gate_syscall",
    "metaos_gate:",
    "mov r10, rcx",
    "mov rax, [rsp + 8]",
    "metaos_gate_syscall:",
    "syscall",
    "ret",
);

const PAGE: u64 = 4096;

#[test]
fn a_page_is_mapped_once_and_seen_to_be() {
    let place = 0x6100_0000_0000;
    assert!(!is_mapped(place, PAGE));
    assert_eq!(map_fresh(place, PAGE, map::READ), Ok(()));
    assert_eq!(map_fresh(place, PAGE, map::READ), Err(Errno::EXISTS));
    assert!(is_mapped(place, PAGE));
    assert_eq!(unmap(place, PAGE), Ok(()));
    assert!(!is_mapped(place, PAGE));
}

#[test]
fn a_range_with_a_hole_is_not_mapped() {
    const PAGES: u64 = 1000;

    let place = 0x6110_0000_0000;
    assert_eq!(map_fresh(place, PAGES * PAGE, map::READ), Ok(()));
    assert!(is_mapped(place, PAGES * PAGE));
    assert!(!is_mapped(place, (PAGES + 1) * PAGE));
    assert_eq!(unmap(place + 600 * PAGE, PAGE), Ok(()));
    assert!(is_mapped(place, 600 * PAGE) && !is_mapped(place, PAGES * PAGE));
    assert_eq!(unmap(place, PAGES * PAGE), Ok(()));
}

#[test]
fn a_bad_file_is_an_error_and_no_count() {
    const BAD_FILE: Errno = Errno(9);

    assert_eq!(write(-1, b"x"), Err(BAD_FILE));
    assert_eq!(read(-1, &mut [0]), Err(BAD_FILE));
}

#[test]
fn the_monotonic_clock_does_not_go_back() {
    let [first, second] = [(); 2].map(|()| time(Clock::Monotonic));
    assert!((second.seconds, second.nanoseconds) >= (first.seconds, first.nanoseconds));
}

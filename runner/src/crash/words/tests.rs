//! Each crime by its words; where an image is needed, behaviour tests look at the whole report.

use super::*;
use crate::control::tests::blank_crash;
use abi::upcall::Registers;

fn words(crash: &CrashRecord) -> String {
    headline(crash, &Programs::default())
}

fn page_fault_at(address: u64, error_code: u64) -> CrashRecord {
    CrashRecord { vector: PAGE_FAULT, error_code, address, ..blank_crash(CrashKind::Fault) }
}

#[test]
fn page_faults_say_what_was_done_where() {
    let cases = [
        (0x8, USER, "null pointer read at 0x8"),
        (0x8, USER | WRITE, "null pointer write at 0x8"),
        (0x0, USER | FETCH, "null pointer called (jump to 0x0)"),
        (0xffff_ffff_8000_0000, USER | PROTECTION, "read of the nucleus at 0xffffffff80000000"),
        (0xffff_ffff_8000_0000, USER | FETCH | PROTECTION, "jump to the nucleus at 0xffffffff80000000"),
        (0xffff_ffff_f000_0000, USER | WRITE, "write to the nucleus at 0xfffffffff0000000"),
        (
            0x40_0000,
            USER | FETCH,
            "jump to address that is not mapped: 0x400000, in the range of Linux programs",
        ),
        (
            0x7000_0000_1000,
            USER | FETCH | PROTECTION,
            "jump to page that is not executable: 0x700000001000, in the heap",
        ),
        (
            0x6400_0000_0000,
            USER | WRITE | PROTECTION,
            "write to protected page in the information pages at 0x640000000000",
        ),
        (0x7200_0000_0000, USER, "read of address that is not mapped: 0x720000000000, in the mmap area"),
        (0x7200_0000_0000, USER | RESERVED, "read through a damaged page table at 0x720000000000"),
    ];
    for (address, error_code, expected) in cases {
        assert_eq!(words(&page_fault_at(address, error_code)), expected);
    }
}

#[test]
fn an_access_just_below_a_stack_is_a_stack_overflow() {
    let guard = layout::MAIN_STACK.0 - 8;
    let registers = Registers { rsp: layout::MAIN_STACK.0, ..Registers::default() };
    let crash = CrashRecord { registers, ..page_fault_at(guard, USER | WRITE) };
    assert!(words(&crash).starts_with("stack overflow"), "{}", words(&crash));
    let far = CrashRecord { registers: Registers::default(), ..crash };
    assert!(!words(&far).starts_with("stack overflow"));
}

#[test]
fn the_words_of_the_guest_count() {
    let crash = |kind, text: &str| CrashRecord { text: text.to_owned(), ..blank_crash(kind) };
    let cases = [
        (CrashKind::Panic, "at src/main.rs:3: no", "panic: at src/main.rs:3: no"),
        (CrashKind::StackOverflow, "thread worker-1", "stack overflow in thread worker-1"),
        (CrashKind::StackOverflow, "stack overflow in thread main", "stack overflow in thread main"),
        (CrashKind::StackOverflow, "", "stack overflow"),
        (CrashKind::OutOfMemory, "", "out of memory; give the machine more with -m"),
        (CrashKind::NucleusPanic, "no memory map", "the nucleus cannot go on: no memory map"),
        (
            CrashKind::ForeignSyscall,
            "",
            "`syscall` outside the gate, in the null page: Linux call `read` (0)",
        ),
    ];
    for (kind, text, expected) in cases {
        assert_eq!(words(&crash(kind, text)), expected);
    }
}

#[test]
fn every_kind_and_vector_has_words() {
    for kind in (0..20).map(CrashKind::from_number) {
        for vector in (0..40).chain([u32::MAX]) {
            let crash = CrashRecord { kind, vector, error_code: u64::MAX, ..blank_crash(CrashKind::Fault) };
            assert!(!words(&crash).is_empty());
            assert!(exception(&crash).is_none_or(|text| !text.is_empty()));
        }
    }
}

#[test]
fn the_exception_line_spells_the_error_code() {
    let crash = page_fault_at(0x1000, USER | WRITE | PROTECTION);
    assert_eq!(
        exception(&crash).unwrap(),
        "page fault at 0x1000, error code 0x7 (protection, write, ring 3)"
    );
    assert_eq!(exception(&blank_crash(CrashKind::Panic)), None);
}

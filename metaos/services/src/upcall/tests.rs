//! What each upcall comes to. The mock machine panics where the real one ends the guest.

use super::{PAGE_FAULT, handle, install};
use crate::memory::stack::Stack;
use crate::mock;
use abi::upcall::{CpuBlock, UpcallKind};
use abi::{VirtAddr, layout};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

fn block(vector: u64, address: u64) -> &'static CpuBlock {
    mock::install();
    let zero = || AtomicU64::new(0);
    Box::leak(Box::new(CpuBlock {
        self_address: zero(),
        cpu: zero(),
        current_thread: zero(),
        upcall_active: AtomicU64::new(1),
        pending: zero(),
        vector: AtomicU64::new(vector),
        error_code: zero(),
        address: AtomicU64::new(address),
        scratch: core::array::from_fn(|_| zero()),
        registers: core::array::from_fn(|_| zero()),
        reserved: core::array::from_fn(|_| zero()),
        floating_point: core::array::from_fn(|_| zero()),
    }))
}

#[test]
fn the_entry_is_registered_with_a_stack_of_its_own() {
    mock::install();
    assert_eq!(install(VirtAddr(layout::GUEST_IMAGE.0)), Ok(()));
}

#[test]
#[should_panic(expected = "StackOverflow: stack overflow in thread worker-7")]
fn a_fault_in_a_guard_is_the_overflow_of_its_thread() {
    mock::install();
    let stack = Stack::new(16 << 10, "worker-7").unwrap();
    handle(UpcallKind::Fault as u64, block(PAGE_FAULT, stack.bottom().0 - 8));
}

#[test]
#[should_panic(expected = "StackOverflow: stack overflow in thread main")]
fn the_main_thread_has_a_name_too() {
    handle(UpcallKind::Fault as u64, block(PAGE_FAULT, layout::STACKS.0 + 8));
}

#[test]
#[should_panic(expected = "Fault: ")]
fn another_fault_is_left_to_the_reader_of_the_registers() {
    handle(UpcallKind::Fault as u64, block(PAGE_FAULT, 8));
}

#[test]
#[should_panic(expected = "Fault: ")]
fn only_a_page_fault_has_an_address() {
    handle(UpcallKind::Fault as u64, block(13, layout::STACKS.0 + 8));
}

#[test]
#[should_panic(expected = "ForeignSyscall: ")]
fn a_foreign_system_call_ends_a_native_guest() {
    handle(UpcallKind::ForeignSyscall as u64, block(0, 0));
}

#[test]
#[should_panic(expected = "returned from the upcall")]
fn a_tick_nobody_asked_for_is_ignored() {
    let block = block(0, 0);
    block.registers[0].store(7, Ordering::Relaxed);
    handle(UpcallKind::Tick as u64, block);
}

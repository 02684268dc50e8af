//! Stands in for the assembly entries in host tests, which never take a trap.

use super::{FloatingPoint, TrapFrame, handle};
use crate::calls::dispatch;

/// On the host, where nothing enters ring 0, the handler itself.
pub(crate) fn syscall_entry_address() -> u64 {
    dispatch as *const () as u64
}

/// On the host, where nothing enters ring 0, the handler itself.
pub(super) fn stub_address(_vector: u64) -> u64 {
    handle as *const () as u64
}

/// Nothing to prepare on the host.
pub(crate) fn prepare_calls(_stack_top: u64, _gate_return: u64) -> u64 {
    0
}

/// The host never enters a guest.
///
/// # Safety
///
/// Always safe: it ends the test.
pub(crate) unsafe extern "C" fn resume(_frame: &mut TrapFrame, _floating_point: &FloatingPoint) -> ! {
    unreachable!("host tests have no ring 3")
}

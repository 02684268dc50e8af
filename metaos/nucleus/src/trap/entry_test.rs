//! Stands in for the assembly entries in host tests, which never take a trap.

use super::{FloatingPoint, TrapFrame, handle, machine_call};

/// On the host, where nothing enters ring 0, the handler itself.
#[must_use]
pub fn syscall_entry_address() -> u64 {
    machine_call as *const () as u64
}

/// On the host, where nothing enters ring 0, the handler itself.
#[must_use]
pub(super) fn stub_address(_vector: u8) -> u64 {
    handle as *const () as u64
}

/// Nothing to prepare on the host.
pub fn prepare_calls(_stack_top: u64, _gate_return: u64) -> u64 {
    0
}

/// The host never enters a guest.
///
/// # Safety
///
/// Always safe: it ends the test.
pub unsafe extern "C" fn resume(_frame: &TrapFrame, _floating_point: &FloatingPoint) -> ! {
    unreachable!("host tests have no ring 3")
}

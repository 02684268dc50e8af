//! Finding the block of this CPU.

use abi::layout;
use abi::upcall::CpuBlock;

/// Returns the block of the first CPU, the only one that runs a guest.
///
/// Every field is atomic, because the machine below writes them between two instructions.
#[must_use]
pub fn current_block() -> &'static CpuBlock {
    let block = crate::memory::pointer::at(layout::CPU_BLOCKS).cast::<CpuBlock>();
    // SAFETY: the machine maps the block there, zeroed and page-aligned, before the guest starts, for reading and
    // writing, and never unmaps it; all fields are atomic integers, so any bytes are valid and shared writing is.
    unsafe { block.as_ref() }
}

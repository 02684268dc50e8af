//! The nucleus while a guest runs.
//!
//! One lock around all of it: interrupts are off in ring 0, and nobody holds it over the halt, so it never spins on
//! one CPU.

use crate::{clock::Clock, layout, memory::Memory};
use abi::boot::{BootInfo, Device};
use abi::info::InfoPage;
use abi::upcall::{CpuBlock, Registers};
use core::{ptr, sync::atomic::Ordering::Release};
use spin::Mutex;

/// Everything that Machine calls change.
pub(crate) struct Nucleus {
    /// Frames and tables.
    pub(crate) memory: Memory,
    /// Clock and timer.
    pub(crate) clock: Clock,
    /// The registers with which upcalls enter, once registered; `rdi` is the kind.
    pub(crate) upcall: Option<Registers>,
    /// Nanoseconds between two preemption ticks; `u64::MAX`: there are none.
    pub(crate) tick_ns: u64,
    /// When the next of them is due.
    pub(crate) tick_due_ns: u64,
}

static NUCLEUS: Mutex<Option<Nucleus>> = Mutex::new(None);

/// Makes `nucleus` the one that traps find.
pub(crate) fn install(nucleus: Nucleus) {
    *NUCLEUS.lock() = Some(nucleus);
}

/// Runs `act` on the nucleus, or returns `None` during boot and (in reports of the nucleus's own defects) while it is
/// in use.
pub(crate) fn with<R>(act: impl FnOnce(&mut Nucleus) -> R) -> Option<R> {
    NUCLEUS.try_lock()?.as_mut().map(act)
}

/// Counts an event for the guest to see, once there is one.
pub(crate) fn count_event(event: usize) {
    with(|_| {
        info_page().events[event].fetch_add(1, Release);
        info_page().events_total.fetch_add(1, Release);
    });
}

/// Returns the information page, as the nucleus sees it.
pub(crate) fn info_page() -> &'static InfoPage {
    // SAFETY: zeroed when it was mapped; atomics only.
    unsafe { shared(layout::INFO_PAGE) }
}

/// Returns the CPU block, as the nucleus sees it.
pub(crate) fn cpu_block() -> &'static CpuBlock {
    // SAFETY: zeroed when it was mapped; atomics only, so that what ring 3 writes at the same time is seen whole.
    unsafe { shared(layout::CPU_BLOCK) }
}

/// Returns the devices that were handed over.
pub(crate) fn devices() -> &'static [Device] {
    // SAFETY: written once when the guest was prepared; ring 3 cannot write it.
    unsafe { shared::<BootInfo>(layout::BOOT_INFO) }.devices()
}

/// # Safety
///
/// A valid `T` stands at `address` for good, in one of the pages that are shared with ring 3 when the guest is prepared,
/// before anybody asks; it is made of atomics, or nobody writes it any more.
unsafe fn shared<T>(address: u64) -> &'static T {
    // SAFETY: the caller vouches for all of it; pages are aligned for any `T`.
    unsafe { &*ptr::with_exposed_provenance::<T>(address as usize) }
}

//! The nucleus while a guest runs.
//!
//! One lock around all of it: interrupts are off in ring 0, and nobody holds it over the halt, so it never spins on
//! one CPU. Event counters stand outside, in a page that interrupt handlers reach without the lock.

use crate::apic::LocalApic;
use crate::clock::Clock;
use crate::cpu::Features;
use crate::layout;
use crate::memory::Memory;
use abi::boot::{BootInfo, Device};
use abi::info::InfoPage;
use abi::upcall::CpuBlock;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Mutex;

/// Everything that Machine calls change.
#[derive(Debug)]
pub struct Nucleus {
    /// Frames and tables.
    pub memory: Memory,
    /// The local APIC.
    pub apic: LocalApic,
    /// The clock.
    pub clock: Clock,
    /// What the CPU can do.
    pub features: Features,
    /// Where upcalls enter, once registered.
    pub upcall: Option<UpcallEntry>,
    /// Interval of the preemption tick and when the next one is due, in ns.
    pub tick: Option<Tick>,
}

/// Where upcalls enter.
#[derive(Clone, Copy, Debug)]
pub struct UpcallEntry {
    /// Address of the handler.
    pub entry: u64,
    /// Top of its stack.
    pub stack_top: u64,
}

/// The preemption tick.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Nanoseconds between two ticks.
    pub interval_ns: u64,
    /// When the next tick is due.
    pub due_ns: u64,
}

static NUCLEUS: Mutex<Option<Nucleus>> = Mutex::new(None);
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Makes `nucleus` the one that traps find.
pub fn install(nucleus: Nucleus) {
    *NUCLEUS.lock() = Some(nucleus);
    IS_INSTALLED.store(true, Ordering::Release);
}

/// Runs `act` on the nucleus, or returns `None` during boot and (in reports of the nucleus's own defects) while it is
/// in use.
pub fn with<R>(act: impl FnOnce(&mut Nucleus) -> R) -> Option<R> {
    NUCLEUS.try_lock()?.as_mut().map(act)
}

/// Counts an event for the guest to see.
pub fn count_event(event: usize) {
    if !IS_INSTALLED.load(Ordering::Acquire) {
        return;
    }
    let info = info_page();
    if let Some(counter) = info.events.get(event) {
        counter.fetch_add(1, Ordering::Release);
        info.events_total.fetch_add(1, Ordering::Release);
    }
}

/// Returns the information page, as the nucleus sees it.
#[must_use]
pub fn info_page() -> &'static InfoPage {
    let page: *const InfoPage = ptr::with_exposed_provenance(layout::INFO_PAGE as usize);
    // SAFETY: mapped for good when the guest was prepared, before anybody asks; zeroed; atomics only, and ring 3
    // cannot write it.
    unsafe { &*page }
}

/// Returns the CPU block, as the nucleus sees it.
#[must_use]
pub fn cpu_block() -> &'static CpuBlock {
    let block: *const CpuBlock = ptr::with_exposed_provenance(layout::CPU_BLOCK as usize);
    // SAFETY: mapped for good when the guest was prepared, before anybody asks; atomics only, so that what ring 3
    // writes at the same time is seen whole.
    unsafe { &*block }
}

/// Returns the devices that were handed over.
#[must_use]
pub fn devices() -> &'static [Device] {
    let info: *const BootInfo = ptr::with_exposed_provenance(layout::BOOT_INFO as usize);
    // SAFETY: mapped for good and written once when the guest was prepared; ring 3 cannot write it.
    unsafe { &*info }.devices()
}

//! The information page: clock parameters and event counters, written below, read by ring 3 without a call.

use core::sync::atomic::{AtomicU64, Ordering};

/// Number of event counters.
pub const EVENTS: usize = 64;

/// Event of bytes typed on the console.
pub const EVENT_CONSOLE: usize = 0;
/// Event of a request to stop (the user's first Ctrl-C).
pub const EVENT_STOP: usize = 1;
/// First event that belongs to a device; see [`crate::boot::Device::first_event`].
pub const FIRST_DEVICE_EVENT: usize = 8;

/// The information page. Ring 3 sees it read-only at [`crate::layout::INFO_PAGE`].
#[derive(Debug)]
#[repr(C)]
pub struct InfoPage {
    /// [`crate::VERSION`].
    pub version: AtomicU64,
    /// Time-stamp counter at nanosecond `ns_base`.
    pub tsc_base: AtomicU64,
    /// Nanoseconds since boot when the counter stood at `tsc_base`: 0, unless the machine corrects its clock.
    pub ns_base: AtomicU64,
    /// Nanoseconds a tick, as a fraction of 2^32: `ns = ns_base + ((ticks * multiplier) >> 32)`. 0: the counter is not
    /// read as a clock, and time stands at `ns_base` until the machine moves it.
    pub tsc_multiplier: AtomicU64,
    /// Wall clock at nanosecond 0, in nanoseconds since 1970-01-01T00:00:00Z; 0: see `real_time_clock`.
    pub wall_ns: AtomicU64,
    /// Registers of the real-time clock (MC146818) some milliseconds after nanosecond 0, from the lowest byte up: second,
    /// minute, hour, day, month, year, century, status B; all ones: there is none.
    pub real_time_clock: AtomicU64,
    /// Sum of all event counters.
    pub events_total: AtomicU64,
    /// How often each event has happened.
    pub events: [AtomicU64; EVENTS],
}

impl InfoPage {
    /// Returns nanoseconds since boot for a reading of the time-stamp counter.
    #[must_use]
    pub fn nanoseconds(&self, tsc: u64) -> u64 {
        let ticks = tsc.wrapping_sub(self.tsc_base.load(Ordering::Relaxed));
        let wide = u128::from(ticks) * u128::from(self.tsc_multiplier.load(Ordering::Relaxed));
        self.ns_base.load(Ordering::Relaxed).wrapping_add(u64::try_from(wide >> 32).unwrap_or(u64::MAX))
    }

    /// Returns the sum of all event counters, ordered before what the caller reads next.
    #[must_use]
    pub fn events_seen(&self) -> u64 {
        self.events_total.load(Ordering::Acquire)
    }

    /// Returns how often `event` has happened; 0 for an event that does not exist.
    #[must_use]
    pub fn event(&self, event: usize) -> u64 {
        self.events.get(event).map_or(0, |counter| counter.load(Ordering::Acquire))
    }
}

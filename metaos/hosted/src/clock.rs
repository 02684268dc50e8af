//! The clock: the time-stamp counter, measured against the host's monotonic clock while the guest runs.
//!
//! Two readings far enough apart give the counter's rate, so no time is spent on measuring: the first is taken when the
//! process starts, the second when it is ready, and later ones make the rate better, each after twice the time. Time never
//! goes back: what has passed stays, only the rate changes.
//!
//! In a run that repeats bit for bit the counter is not read: time stands still until this machine moves it.

use crate::linux::{self, Clock, TimeSpec};
use crate::pages::info;
use abi::hosted::SEEDED_WALL_NS;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const NS_PER_S: u64 = 1_000_000_000;
/// The rate is not asked for again before so much time has passed since the last, at first.
const FIRST_INTERVAL_NS: u64 = 1_000_000;
/// And never more seldom than that: the host corrects its clock, too.
const LAST_INTERVAL_NS: u64 = 10 * NS_PER_S;

/// The host's clock and the counter at the start.
static HOST_START_NS: AtomicU64 = AtomicU64::new(0);
static COUNTER_START: AtomicU64 = AtomicU64::new(0);
/// When the rate is measured again, in nanoseconds since the start.
static NEXT_NS: AtomicU64 = AtomicU64::new(0);

/// Time is made up.
static IS_SIMULATED: AtomicBool = AtomicBool::new(false);

/// Makes now nanosecond 0.
pub(crate) fn begin(is_simulated: bool) {
    IS_SIMULATED.store(is_simulated, Relaxed);
    if is_simulated {
        // A counter that weighs nothing is no clock.
        info().wall_ns.store(SEEDED_WALL_NS, Relaxed);
        return;
    }
    let (counter, host) = read_both();
    COUNTER_START.store(counter, Relaxed);
    HOST_START_NS.store(host, Relaxed);
    info().tsc_base.store(counter, Relaxed);
    info().wall_ns.store(nanoseconds(linux::time(Clock::RealTime)), Relaxed);
}

/// Tells whether time is made up.
pub(crate) fn is_simulated() -> bool {
    IS_SIMULATED.load(Relaxed)
}

/// Returns the time since the start, as the guest reads it.
pub(crate) fn now_ns() -> u64 {
    info().nanoseconds(counter())
}

/// Lets time pass up to `now_ns` in a run where it is made up; it does not go back.
pub(crate) fn move_to(now_ns: u64) {
    if is_simulated() {
        info().ns_base.fetch_max(now_ns, Relaxed);
    }
}

/// Lets a moment pass in a run where time is made up, so that who waits for it in a loop does not wait for ever.
pub(crate) fn tick() {
    const MOMENT_NS: u64 = 1000;

    if is_simulated() {
        move_to(now_ns() + MOMENT_NS);
    }
}

/// Measures the rate anew, if it is time.
pub(crate) fn correct() {
    if is_simulated() {
        return;
    }
    let now = now_ns();
    if now < NEXT_NS.load(Relaxed) {
        return;
    }
    let (counter, host) = read_both();
    let elapsed = host.saturating_sub(HOST_START_NS.load(Relaxed));
    let ticks = counter.saturating_sub(COUNTER_START.load(Relaxed));
    let Some(rate) = rate(elapsed, ticks) else { return };
    let info = info();
    let base = info.nanoseconds(counter);
    info.ns_base.store(base, Relaxed);
    info.tsc_base.store(counter, Relaxed);
    info.tsc_multiplier.store(rate, Relaxed);
    NEXT_NS.store(base + elapsed.clamp(FIRST_INTERVAL_NS, LAST_INTERVAL_NS), Relaxed);
}

/// Returns nanoseconds a tick as a fraction of 2^32; `None` if the counter stands still.
fn rate(elapsed_ns: u64, ticks: u64) -> Option<u64> {
    let wide = (u128::from(elapsed_ns) << 32).checked_div(u128::from(ticks))?;
    u64::try_from(wide).ok()
}

/// Reads both clocks as close together as can be.
fn read_both() -> (u64, u64) {
    let before = counter();
    let host = nanoseconds(linux::time(Clock::Monotonic));
    let after = counter();
    (before + after.saturating_sub(before) / 2, host)
}

fn counter() -> u64 {
    // SAFETY: every x86-64 CPU has the counter, and Linux lets processes read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

const fn nanoseconds(time: TimeSpec) -> u64 {
    (time.seconds as u64).wrapping_mul(NS_PER_S).wrapping_add(time.nanoseconds as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_counter() {
        assert_eq!(rate(1_000_000, 2_000_000), Some(1 << 31));
        assert_eq!(rate(1, 0), None);
    }
}

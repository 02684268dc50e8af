//! Time, read without a call: the time-stamp counter scaled by the parameters of the information page.

mod real_time;

use crate::machine;
use core::sync::atomic::Ordering;

const NS_PER_S: u64 = 1_000_000_000;

/// Returns nanoseconds since the machine's start. Never goes back on one CPU.
#[must_use]
pub fn now_ns() -> u64 {
    machine::info().nanoseconds(time_stamp())
}

/// Returns the wall clock in nanoseconds since 1970-01-01T00:00:00Z, or `None` if the machine does not know it.
#[must_use]
pub fn wall_ns() -> Option<u64> {
    let info = machine::info();
    let at_boot = match info.wall_ns.load(Ordering::Relaxed) {
        0 => real_time::seconds(info.real_time_clock.load(Ordering::Relaxed))?.saturating_mul(NS_PER_S),
        at_boot => at_boot,
    };
    Some(at_boot.saturating_add(info.nanoseconds(time_stamp())))
}

/// Tells whether time is made up: then nothing else that differs from run to run may be looked at.
#[must_use]
pub fn is_simulated() -> bool {
    machine::info().tsc_multiplier.load(Ordering::Relaxed) == 0
}

/// Reads the time-stamp counter. Not ordered against neighbouring instructions (SDM 2B, RDTSC); that error is some
/// tens of nanoseconds.
#[must_use]
pub(crate) fn time_stamp() -> u64 {
    // SAFETY: every x86-64 CPU has RDTSC, and CR4.TSD, which would forbid it to ring 3, is never set.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Returns a number that is hard to guess, but not hard enough to be counted as random: nothing where time is made up.
#[must_use]
pub(crate) fn jitter() -> u64 {
    if is_simulated() { 0 } else { time_stamp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back() {
        crate::mock::install();
        let first = now_ns();
        let second = now_ns();
        assert!(second >= first);
    }

    #[test]
    fn the_wall_clock_runs_with_the_monotonic_one() {
        crate::mock::install();
        let wall = wall_ns().expect("the mock machine knows the wall clock");
        assert!(wall >= crate::mock::BOOTED_AT_S * NS_PER_S);
    }
}

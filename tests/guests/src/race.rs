//! Waiting for an event at the moment at which it comes: the assistant of the guests that look for lost wake-ups.
//!
//! The guest asks for an event, computes for a while and then waits, with no deadline. How long it computes differs from
//! round to round around the time that the event takes, so that the event comes before, within and after each step of
//! going to sleep. A guest whose wake-up is lost sleeps until the test, which hears nothing for some seconds, sends it
//! something else: so that a slow host is never taken for a lost wake-up.

use core::fmt;
use services::{clock, machine};

/// How long a guest races at most, in ns: a host that is busy with other things makes rounds long.
const TIME_NS: u64 = 8_000_000_000;
/// Rounds that only measure how long the event takes.
const MEASURED: usize = 64;
/// Rounds until it is measured again.
const RACED: u64 = 512;
/// Longest delay that is tried, in ns.
const LONGEST_NS: u64 = 2_000_000;
/// Least and most that is tried before and after the time of the event, in ns.
const LEAST_MARGIN_NS: u64 = 2_000;
const MOST_MARGIN_NS: u64 = 30_000;
/// The golden ratio of the numbers below 2^32: its multiples fall everywhere, in an order without pattern.
const GOLDEN: u64 = 2_654_435_769;

/// How long to compute in each round.
#[derive(Debug)]
pub struct Delays {
    measured: [u64; MEASURED],
    /// Rounds measured since the last time that the range was set.
    count: usize,
    /// Rounds raced so far.
    raced: u64,
    /// Where the delays lie.
    least: u64,
    most: u64,
}

impl Delays {
    /// Starts with rounds that measure.
    #[must_use]
    pub const fn new() -> Self {
        Self { measured: [0; MEASURED], count: 0, raced: 0, least: 0, most: 0 }
    }

    /// Returns how long to compute in this round; `None`: until the event is here, and then tell by
    /// [`measured`](Self::measured) how long that took.
    pub fn next_ns(&mut self) -> Option<u64> {
        if self.count < MEASURED {
            return None;
        }
        self.raced += 1;
        if self.raced.is_multiple_of(RACED) {
            // Hosts and their other work change.
            self.count = 0;
        }
        let share = self.raced.wrapping_mul(GOLDEN) & 0xffff_ffff;
        Some(self.least + (((self.most - self.least) * share) >> 32))
    }

    /// Takes how long the event took.
    pub fn measured(&mut self, took_ns: u64) {
        if let Some(slot) = self.measured.get_mut(self.count) {
            *slot = took_ns.min(LONGEST_NS);
            self.count += 1;
        }
        if self.count == MEASURED {
            self.measured.sort_unstable();
            // Around where it comes when the host is quick; on a busy one the late ones lie anywhere.
            let (early, late) = (self.measured[MEASURED / 4], self.measured[MEASURED * 3 / 4]);
            let margin = (late - early).clamp(LEAST_MARGIN_NS, MOST_MARGIN_NS);
            (self.least, self.most) = (early.saturating_sub(margin), early + 2 * margin);
        }
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {} ns", self.least, self.most)
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the numbers of the rounds, at most `most`, as long as there is time.
pub fn rounds(most: u64) -> impl Iterator<Item = u64> {
    let end = clock::now_ns().saturating_add(TIME_NS);
    (0..most).take_while(move |_| clock::now_ns() < end)
}

/// Computes for a while.
pub fn compute(duration_ns: u64) {
    let end = clock::now_ns().saturating_add(duration_ns);
    while clock::now_ns() < end {
        core::hint::black_box(end);
    }
}

/// Computes until `event` has happened more than `seen` times, or `patience_ns` are over; returns how long that took.
#[must_use]
pub fn compute_until(event: usize, seen: u64, patience_ns: u64) -> u64 {
    let start = clock::now_ns();
    while machine::info().event(event) == seen && clock::now_ns() - start < patience_ns {
        core::hint::black_box(seen);
    }
    clock::now_ns() - start
}

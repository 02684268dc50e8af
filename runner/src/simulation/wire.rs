//! The wire between simulated guests: what it loses, how long it takes, what it carries twice.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use abi::hosted::network::HEADER;
use fastrand::Rng;

/// How a wire behaves.
#[derive(Clone, PartialEq, Debug)]
pub struct Wire {
    /// How long a frame takes at least.
    pub delay: Duration,
    /// How much longer it may take, so that frames overtake each other.
    pub jitter: Duration,
    /// Part of the frames that are lost, from 0 to 1.
    pub loss: f64,
    /// Part of the frames that arrive twice.
    pub duplicates: f64,
}

impl Default for Wire {
    /// Returns a wire of a tenth of a millisecond that loses nothing.
    fn default() -> Self {
        Self { delay: Duration::from_micros(100), jitter: Duration::ZERO, loss: 0.0, duplicates: 0.0 }
    }
}

/// What is under way, the next first: when it arrives, a number that makes the order total, at whom, and the frame.
type Arrival = Reverse<(u64, u64, usize, Vec<u8>)>;

/// A wire that all guests hang on.
pub(super) struct Cable {
    wire: Wire,
    numbers: Rng,
    under_way: BinaryHeap<Arrival>,
    arrivals: u64,
    sent: u64,
    lost: u64,
}

impl Cable {
    pub(super) fn new(wire: &Wire, seed: u64) -> Self {
        Self {
            wire: wire.clone(),
            numbers: Rng::with_seed(seed),
            under_way: BinaryHeap::new(),
            arrivals: 0,
            sent: 0,
            lost: 0,
        }
    }

    /// Returns how many frames were sent, and how many of them lost.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.sent, self.lost)
    }

    /// Takes a frame of guest `from` (of `count`) to all others: their cards pass over what is not for them.
    pub(super) fn send(&mut self, now_ns: u64, from: usize, count: usize, frame: &[u8]) {
        if frame.len() <= HEADER {
            return;
        }
        self.sent += 1;
        if self.numbers.f64() < self.wire.loss {
            self.lost += 1;
            return;
        }
        let copies = if self.numbers.f64() < self.wire.duplicates { 2 } else { 1 };
        for to in (0..count).filter(|to| *to != from) {
            for _ in 0..copies {
                let at = now_ns
                    + nanoseconds(self.wire.delay)
                    + self.numbers.u64(0..=nanoseconds(self.wire.jitter));
                self.under_way.push(Reverse((at, self.arrivals, to, frame.to_vec())));
                self.arrivals += 1;
            }
        }
    }

    /// Returns when the next frame arrives.
    pub(super) fn next_arrival(&self) -> Option<u64> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next frame, and at whom it arrives.
    pub(super) fn take(&mut self) -> Option<(usize, Vec<u8>)> {
        self.under_way.pop().map(|Reverse((_, _, to, frame))| (to, frame))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

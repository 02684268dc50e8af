//! What a measurement gives.

use core::fmt;
use libos::time::{Duration, Instant};

/// The figures of one measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    start: Instant,
    elapsed: Duration,
    /// Time in which nothing came any more.
    silence: Duration,
    /// Operations that succeeded.
    pub(super) operations: u64,
    /// Datagrams that did not come.
    pub(super) lost: u64,
    /// Payload in one direction.
    pub(super) bytes: u64,
}

impl Outcome {
    /// Starts the clock.
    pub(super) fn begin() -> Self {
        let (elapsed, silence) = (Duration::ZERO, Duration::ZERO);
        Self { start: Instant::now(), elapsed, silence, operations: 0, lost: 0, bytes: 0 }
    }

    /// Returns when the clock was started.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Counts an operation.
    pub(super) fn count(&mut self, bytes: usize) {
        self.operations += 1;
        self.bytes += bytes as u64;
    }

    /// Counts operations that were waited for in vain; the wait is no part of the measurement.
    pub(super) fn lose(&mut self, count: u64, wait: Duration) {
        self.lost += count;
        self.silence += wait;
    }

    /// Stops the clock.
    pub(super) fn end(mut self) -> Self {
        self.elapsed = self.start.elapsed().saturating_sub(self.silence);
        self
    }

    fn per_second(&self, count: u64) -> u128 {
        u128::from(count) * 1_000_000_000 / self.elapsed.as_nanos().max(1)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operations={} lost={} bytes={} elapsed_us={} per_second={} bytes_per_second={}",
            self.operations,
            self.lost,
            self.bytes,
            self.elapsed.as_micros(),
            self.per_second(self.operations),
            self.per_second(self.bytes),
        )
    }
}

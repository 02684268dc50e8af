//! The clients: each drives one kind of work, for a number of operations or for a time, and says what it did.
//!
//! People's own client is used where there is one and it can talk to both guests: wrk for HTTP. Instructions are
//! counted under clients of our own, which do a fixed number of operations on connections that are open before
//! counting starts, and which do what no common client does. Every wait of theirs is bounded.

mod bulk;
mod connects;
mod datagrams;
mod exchange;
mod first_byte;
mod packets;
mod wrk;

use std::io;
use std::time::Duration;

pub(super) use bulk::{Direction, transfer};
pub(super) use connects::connect_and_close;
pub(super) use datagrams::exchange_datagrams;
pub(super) use exchange::{Acknowledgement, Exchange, Request};
pub(super) use first_byte::await_first_byte;
pub(super) use packets::{receive_packets, send_packets};
pub(super) use wrk::wrk;

use super::statistics::percentile;

/// How long a guest may be silent before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a load ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    /// After so many operations.
    Operations(u64),
    /// After such a time.
    Elapsed(Duration),
}

impl Until {
    /// Tells whether a load that has come so far is to go on.
    fn goes_on(self, operations: u64, elapsed: Duration) -> bool {
        match self {
            Self::Operations(most) => operations < most,
            Self::Elapsed(most) => elapsed < most,
        }
    }
}

/// What a client did.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Load {
    /// Operations, in the workload's unit.
    pub(super) operations: f64,
    /// How long it took.
    pub(super) elapsed: Duration,
    /// How long operations took, if that was measured.
    pub(super) latency: Option<Latency>,
}

/// How long operations took.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Latency {
    /// Half of them took at most so long.
    pub(super) median: Duration,
    /// 99 of 100 took at most so long.
    pub(super) tail: Duration,
}

impl Latency {
    /// Summarises latencies in nanoseconds.
    fn of(mut nanoseconds: Vec<u64>) -> Option<Self> {
        nanoseconds.sort_unstable();
        nanoseconds.last()?;
        let at = |share| Duration::from_nanos(percentile(&nanoseconds, share));
        Some(Self { median: at(0.5), tail: at(0.99) })
    }
}

fn silent(operations: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the guest was silent for {} s after {operations} operations", PATIENCE.as_secs()),
    )
}

#[expect(clippy::cast_precision_loss, reason = "no load reaches 2^53 operations")]
fn as_number(count: u64) -> f64 {
    count as f64
}

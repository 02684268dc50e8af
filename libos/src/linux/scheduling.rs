//! `futex`, for a program of one thread: it waits until its time is over, and wakes nobody.

use super::errno::{Errno, Outcome};
use super::{time, user};
use crate::task;

/// Bits of the operation that say how, not what: `FUTEX_PRIVATE_FLAG`, `FUTEX_CLOCK_REALTIME`.
const REAL_TIME: u64 = 256;
const HOW: u64 = 128 | REAL_TIME;
const WAIT: u64 = 0;
const WAKE: u64 = 1;
const WAIT_BITSET: u64 = 9;
const WAKE_BITSET: u64 = 10;

pub(super) fn futex([place, operation, value, timeout, ..]: [u64; 6]) -> Outcome {
    if !place.is_multiple_of(4) {
        return Err(Errno::Invalid);
    }
    match operation & !HOW {
        WAIT => wait(place, value, time::deadline(timeout, time::Kind::Relative)?),
        WAIT_BITSET if operation & REAL_TIME == 0 => {
            wait(place, value, time::deadline(timeout, time::Kind::Monotonic)?)
        }
        WAIT_BITSET => wait(place, value, time::deadline(timeout, time::Kind::RealTime)?),
        WAKE | WAKE_BITSET => {
            user::readable(place, 4)?;
            Ok(0)
        }
        _ => Err(Errno::NoSystemCall),
    }
}

fn wait(place: u64, value: u64, deadline_ns: u64) -> Outcome {
    let found = u32::from_le_bytes(user::read(place)?);
    if found != value as u32 {
        return Err(Errno::Again);
    }
    while services::clock::now_ns() < deadline_ns {
        task::block_until(deadline_ns);
    }
    Err(Errno::TimedOut)
}

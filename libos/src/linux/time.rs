//! Clocks and sleep.

use super::errno::{Errno, Outcome};
use super::user;
use crate::task;
use services::clock;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_US: u64 = 1000;
/// `TIMER_ABSTIME`.
const ABSOLUTE: u64 = 1;

/// What a time in a call means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// From now on.
    Relative,
    /// A moment of the monotonic clock.
    Monotonic,
    /// A moment of the wall clock.
    RealTime,
}

/// `clock_gettime`.
pub(super) fn get(clock: u64, start: u64) -> Outcome {
    let now = now(clock)?;
    user::write_words(start, &[now / NS_PER_S, now % NS_PER_S])?;
    Ok(0)
}

/// `clock_getres`.
pub(super) fn resolution(clock: u64, start: u64) -> Outcome {
    now(clock)?;
    if start != 0 {
        user::write_words(start, &[0, 1])?;
    }
    Ok(0)
}

/// `gettimeofday`.
pub(super) fn of_day(start: u64, zone: u64) -> Outcome {
    if start != 0 {
        let now = wall();
        user::write_words(start, &[now / NS_PER_S, now % NS_PER_S / NS_PER_US])?;
    }
    if zone != 0 {
        user::write_words(zone, &[0])?;
    }
    Ok(0)
}

/// `time`.
pub(super) fn seconds(start: u64) -> Outcome {
    let now = wall() / NS_PER_S;
    if start != 0 {
        user::write_words(start, &[now])?;
    }
    Ok(now)
}

/// `nanosleep`: others run meanwhile.
pub(super) fn sleep(start: u64) -> Outcome {
    sleep_until(deadline_of(start, Kind::Relative)?)
}

/// `clock_nanosleep`.
pub(super) fn sleep_by(clock: u64, flags: u64, start: u64) -> Outcome {
    now(clock)?;
    let kind = match (flags & ABSOLUTE, clock) {
        (0, _) => Kind::Relative,
        (_, 0) => Kind::RealTime,
        _ => Kind::Monotonic,
    };
    sleep_until(deadline_of(start, kind)?)
}

/// Returns when the time at `start` is over, in nanoseconds since boot; without one, never.
pub(super) fn deadline(start: u64, kind: Kind) -> Result<u64, Errno> {
    if start == 0 { Ok(task::NEVER) } else { deadline_of(start, kind) }
}

/// Returns the nanoseconds of a `struct timespec`.
pub(super) fn nanoseconds(start: u64) -> Result<u64, Errno> {
    let [seconds, nanoseconds] = user::read_words(start)?;
    if seconds.cast_signed() < 0 || nanoseconds >= NS_PER_S {
        return Err(Errno::Invalid);
    }
    Ok(seconds.saturating_mul(NS_PER_S).saturating_add(nanoseconds))
}

fn deadline_of(start: u64, kind: Kind) -> Result<u64, Errno> {
    let time = nanoseconds(start)?;
    let now = clock::now_ns();
    Ok(match kind {
        Kind::Relative => now.saturating_add(time),
        Kind::Monotonic => time,
        Kind::RealTime => now.saturating_add(time.saturating_sub(wall())),
    })
}

fn sleep_until(deadline_ns: u64) -> Outcome {
    while clock::now_ns() < deadline_ns {
        task::block_until(deadline_ns);
    }
    Ok(0)
}

fn now(clock: u64) -> Result<u64, Errno> {
    match clock {
        // The wall clock, coarse or not, and of atoms.
        0 | 5 | 11 => Ok(wall()),
        // Monotonic, processor times, raw, coarse, since boot.
        1 | 2 | 3 | 4 | 6 | 7 => Ok(clock::now_ns()),
        _ => Err(Errno::Invalid),
    }
}

fn wall() -> u64 {
    clock::wall_ns().unwrap_or_else(clock::now_ns)
}

//! Clocks, shaped like `std::time`.

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use services::clock;

pub use core::time::Duration;

/// A moment on the clock that never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(Duration);

/// A moment on the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SystemTime(Duration);

/// The start of the year 1970, UTC.
pub const UNIX_EPOCH: SystemTime = SystemTime(Duration::ZERO);

/// A moment lies after the one it was compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemTimeError(Duration);

impl Instant {
    /// Returns the present moment. Neither calls the machine nor allocates.
    #[must_use]
    pub fn now() -> Self {
        Self(Duration::from_nanos(clock::now_ns()))
    }

    /// Returns the time since the machine's start; what std cannot tell.
    #[must_use]
    pub const fn since_boot(&self) -> Duration {
        self.0
    }

    /// Returns the time since this moment.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }

    /// Returns the time since `earlier`; zero if that is later.
    #[must_use]
    pub const fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the moment `duration` later, if it can be told.
    #[must_use]
    pub fn checked_add(&self, duration: Duration) -> Option<Self> {
        self.0.checked_add(duration).map(Self)
    }

    /// Returns the moment `duration` earlier, if it can be told.
    #[must_use]
    pub fn checked_sub(&self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }
}

impl SystemTime {
    /// The start of the year 1970, UTC.
    pub const UNIX_EPOCH: Self = UNIX_EPOCH;

    /// Returns the present moment; [`UNIX_EPOCH`] and the time since boot if the machine knows no wall clock.
    #[must_use]
    pub fn now() -> Self {
        Self(Duration::from_nanos(clock::wall_ns().unwrap_or_else(clock::now_ns)))
    }

    /// Returns the time since `earlier`.
    ///
    /// # Errors
    ///
    /// `earlier` is later; the error tells by how much.
    pub fn duration_since(&self, earlier: Self) -> Result<Duration, SystemTimeError> {
        self.0.checked_sub(earlier.0).ok_or(SystemTimeError(earlier.0.saturating_sub(self.0)))
    }

    /// Returns the time since this moment.
    ///
    /// # Errors
    ///
    /// This moment is yet to come; the error tells when.
    pub fn elapsed(&self) -> Result<Duration, SystemTimeError> {
        Self::now().duration_since(*self)
    }
}

impl SystemTimeError {
    /// Returns by how much the other moment is later.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.0
    }
}

impl fmt::Display for SystemTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the second moment lies after the first")
    }
}

impl core::error::Error for SystemTimeError {}

macro_rules! moment_arithmetic {
    ($moment:ident) => {
        impl Add<Duration> for $moment {
            type Output = Self;

            fn add(self, duration: Duration) -> Self {
                Self(self.0 + duration)
            }
        }

        impl AddAssign<Duration> for $moment {
            fn add_assign(&mut self, duration: Duration) {
                self.0 += duration;
            }
        }

        impl Sub<Duration> for $moment {
            type Output = Self;

            fn sub(self, duration: Duration) -> Self {
                Self(self.0 - duration)
            }
        }

        impl SubAssign<Duration> for $moment {
            fn sub_assign(&mut self, duration: Duration) {
                self.0 -= duration;
            }
        }
    };
}

moment_arithmetic!(Instant);
moment_arithmetic!(SystemTime);

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_two_moments_is_never_negative() {
        let (early, late) = (Instant(Duration::from_secs(1)), Instant(Duration::from_secs(3)));
        assert_eq!(late - early, Duration::from_secs(2));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(
            UNIX_EPOCH.duration_since(UNIX_EPOCH + Duration::from_secs(1)).unwrap_err().duration().as_secs(),
            1
        );
    }
}

//! How a guest ends by itself: exit codes, what `main` may return, and the way out.
//!
//! Shaped like `std::process`. It stands here because both the start routine and the library OS need it, and
//! neither may name the other.

use crate::io::console;
use crate::machine;
use core::convert::Infallible;
use core::fmt;
use spin::Once;

/// Exit status of a guest: all 8 bits reach the one who started it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExitCode(u8);

impl ExitCode {
    /// The program did what it was asked to do.
    pub const SUCCESS: Self = Self(0);
    /// It did not.
    pub const FAILURE: Self = Self(1);

    /// Returns the status as a number.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        self.0
    }
}

impl From<u8> for ExitCode {
    fn from(status: u8) -> Self {
        Self(status)
    }
}

/// What `main` may return.
pub trait Termination {
    /// Turns the value into a status, and writes an error to the console.
    fn report(self) -> ExitCode;
}

impl Termination for () {
    fn report(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}

impl Termination for u8 {
    fn report(self) -> ExitCode {
        ExitCode(self)
    }
}

impl Termination for ExitCode {
    fn report(self) -> ExitCode {
        self
    }
}

impl Termination for Infallible {
    fn report(self) -> ExitCode {
        match self {}
    }
}

impl<T: Termination, E: fmt::Debug> Termination for Result<T, E> {
    fn report(self) -> ExitCode {
        match self {
            Ok(value) => value.report(),
            Err(error) => {
                console::print(format_args!("Error: {error:?}\n"));
                ExitCode::FAILURE
            }
        }
    }
}

/// What the library OS still has to do when the guest ends. Installed by what needs it, so that others do not carry it.
static BEFORE_EXIT: Once<fn()> = Once::new();

/// Has `act` called before the guest ends by itself, be it by [`exit`] or because `main` returns. The first one counts.
pub fn before_exit(act: fn()) {
    BEFORE_EXIT.call_once(|| act);
}

/// Does what [`before_exit`] was told, writes out what the console still holds, and ends the guest. Destructors do not
/// run.
pub fn exit(code: ExitCode) -> ! {
    if let Some(act) = BEFORE_EXIT.get() {
        act();
    }
    console::flush();
    machine::current().exit(code.to_u8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_main_returns_becomes_the_status() {
        crate::mock::install();
        assert_eq!(().report().to_u8(), 0);
        assert_eq!(200_u8.report().to_u8(), 200);
        assert_eq!(Ok::<_, fmt::Error>(ExitCode::from(7)).report().to_u8(), 7);
    }
}

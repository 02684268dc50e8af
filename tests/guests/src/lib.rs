//! The assistant of the guests that misbehave: commits their crimes and says so before and after.
//!
//! Each guest says what it is about to do, does it, and says that it was not caught if it is still there. What it does
//! is done by assembly, so that the compiler neither sees through it nor takes it for something that cannot happen.
//!
//! The functions are safe to call although they break every rule: that somebody below catches them, or that nothing
//! comes of them, is what the guests are there to show. These crates are linked without the linker's checks, and ship
//! nowhere.
#![no_std]

extern crate alloc;

pub mod call;
pub mod crime;
pub mod flags;
pub mod linux;
pub mod program;
pub mod race;
pub mod registers;

pub use services::exit::ExitCode;

use core::fmt;
use services::io::console;

/// Status of a guest whose attempts came to nothing and that has lived on.
pub const HELD: u8 = 42;

/// Prints a line.
pub fn say(line: fmt::Arguments<'_>) {
    console::print(format_args!("{line}\n"));
}

/// Announces a crime: `what` completes "attempting to".
pub fn attempting(what: &str) {
    say(format_args!("attempting to {what}"));
}

/// Says that the crime had no consequence, which fails the test.
#[must_use]
pub fn not_caught() -> ExitCode {
    say(format_args!("NOT CAUGHT"));
    ExitCode::SUCCESS
}

/// Ends a guest that was to live on: `HELD` if it is as it should be.
#[must_use]
pub fn conclude(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Held => ExitCode::from(HELD),
        Outcome::NotCaught => not_caught(),
    }
}

/// Whether a protection held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It did.
    Held,
    /// It did not.
    NotCaught,
}

impl Outcome {
    /// Returns what a condition that must hold says.
    #[must_use]
    pub const fn held_if(condition: bool) -> Self {
        if condition { Self::Held } else { Self::NotCaught }
    }

    /// Returns whether both held.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == Self::Held { other } else { self }
    }
}

impl FromIterator<Self> for Outcome {
    fn from_iter<I: IntoIterator<Item = Self>>(outcomes: I) -> Self {
        outcomes.into_iter().fold(Self::Held, Self::and)
    }
}

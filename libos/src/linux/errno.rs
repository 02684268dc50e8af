//! Why a call fails: the numbers of `asm-generic/errno.h`.

/// An error of Linux.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(super) enum Errno {
    NotPermitted = 1,
    NoEntry = 2,
    NoProcess = 3,
    BadDescriptor = 9,
    Again = 11,
    NoMemory = 12,
    NoAccess = 13,
    BadAddress = 14,
    Exists = 17,
    NoDevice = 19,
    Invalid = 22,
    NotATerminal = 25,
    IllegalSeek = 29,
    Range = 34,
    NoSystemCall = 38,
    TimedOut = 110,
}

/// What a call returns.
pub(super) type Outcome = Result<u64, Errno>;

impl Errno {
    /// Returns what the program finds in its register.
    pub(super) fn encode(outcome: Outcome) -> isize {
        match outcome {
            Ok(value) => value.cast_signed() as isize,
            Err(error) => -(error as i32 as isize),
        }
    }
}

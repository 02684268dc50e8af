//! Machine calls with any number and any arguments: past the services, which would not make the bad ones.
//!
//! The gate belongs to the entry crate and is private; its one `syscall` instruction has a global label though, and
//! whoever jumps there gets through. That is no hole: the gate is no boundary, the nucleus is.

use crate::Outcome;
use crate::say;
use abi::{Call, Error};
use core::arch::asm;

/// Makes a Machine call.
///
/// # Errors
///
/// The machine refused.
pub fn raw(number: u64, arguments: [u64; 3]) -> Result<u64, Error> {
    let [first, second, third] = arguments;
    let result: u64;
    // SAFETY: none. The machine below is to refuse whatever would do harm.
    unsafe {
        asm!(
            "call metaos_gate_syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            clobber_abi("C"),
        );
    }
    Error::decode(result)
}

/// Makes a Machine call by name.
///
/// # Errors
///
/// The machine refused.
pub fn make(call: Call, arguments: [u64; 3]) -> Result<u64, Error> {
    raw(call as u64, arguments)
}

/// Makes a call that is to be refused with `expected`, and says what came of it.
#[must_use]
pub fn expect_refusal(what: &str, call: Call, arguments: [u64; 3], expected: Error) -> Outcome {
    judge(what, make(call, arguments), expected)
}

/// Says whether a call was refused as it should be. `what` completes "attempting to".
#[must_use]
pub fn judge(what: &str, result: Result<u64, Error>, expected: Error) -> Outcome {
    match result {
        Err(error) if error == expected => {
            say(format_args!("attempting to {what}: refused: {error}"));
            Outcome::Held
        }
        Err(error) => {
            say(format_args!("attempting to {what}: refused: {error}, but {expected:?} was expected"));
            Outcome::NotCaught
        }
        Ok(value) => {
            say(format_args!("attempting to {what}: NOT CAUGHT, and the result is {value:#x}"));
            Outcome::NotCaught
        }
    }
}

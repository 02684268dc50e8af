//! What can go wrong with a queue.

use core::fmt;

/// Reason why a queue refused something, or what the device did wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QueueError {
    /// The size is not a power of two within the limits, or the memory too small for it.
    BadSize,
    /// A chain has no buffer.
    EmptyChain,
    /// Too few descriptors are free.
    Full,
    /// The device's used index moved further than chains are in flight.
    IndexJump,
    /// The device finished a chain that is not in flight.
    NotInFlight,
    /// The device says that it wrote more than the buffers hold. The chain has been given back.
    LengthTooLong {
        /// What was given with the chain.
        token: u16,
    },
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadSize => "queue size is not a power of two that fits its memory",
            Self::EmptyChain => "a chain needs at least one buffer",
            Self::Full => "queue is full; wait for completions",
            Self::IndexJump => "device moved its used index too far; reset it",
            Self::NotInFlight => "device finished a chain that it does not have; reset it",
            Self::LengthTooLong { .. } => "device wrote more than the buffer holds; drop the data",
        })
    }
}

impl core::error::Error for QueueError {}

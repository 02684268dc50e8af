//! Green threads: cooperative, one at a time, each on a stack of its own.
//!
//! A thread runs until it blocks or yields. Whoever blocks looks for the next thread itself; if there is none it
//! does the idle work (network, timers, sleep) on its own stack, so that a program of one thread never switches.
//! Nothing here is linked into a program that never blocks.

mod idle;
mod scheduler;
mod wait_queue;

pub(crate) use idle::{Poller, Work, install_poller, poll, wake_at_event};
pub(crate) use scheduler::{
    NEVER, ThreadId, block_until, current, spawn, thread_count, wake, with_current, yield_now,
    yield_to_others,
};
pub(crate) use wait_queue::{WaitQueue, Woken};

#[cfg(test)]
pub(crate) mod tests;

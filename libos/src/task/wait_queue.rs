//! A queue of threads that wait for the same thing.

use super::scheduler::{NEVER, ThreadId, block_until, current, wake};
use alloc::collections::VecDeque;
use services::clock;
use spin::Mutex;

/// A queue of waiting threads. What they wait for is looked at before, and nothing happens between the look and the
/// wait: no other thread runs in between.
#[derive(Debug)]
pub(crate) struct WaitQueue {
    waiting: Mutex<VecDeque<ThreadId>>,
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Woken {
    /// Somebody woke us.
    BySomebody,
    /// The time is over.
    ByTime,
}

impl WaitQueue {
    pub(crate) const fn new() -> Self {
        Self { waiting: Mutex::new(VecDeque::new()) }
    }

    /// Waits to be woken.
    pub(crate) fn wait(&self) {
        self.wait_until(NEVER);
    }

    /// Waits to be woken, or until the clock reaches `deadline_ns`.
    pub(crate) fn wait_until(&self, deadline_ns: u64) -> Woken {
        let own = current();
        self.waiting.lock().push_back(own);
        loop {
            block_until(deadline_ns);
            let mut waiting = self.waiting.lock();
            if !waiting.contains(&own) {
                return Woken::BySomebody;
            }
            if clock::now_ns() >= deadline_ns {
                waiting.retain(|id| *id != own);
                return Woken::ByTime;
            }
        }
    }

    /// Wakes the one who has waited longest.
    #[inline]
    pub(crate) fn wake_one(&self) {
        let first = self.waiting.lock().pop_front();
        if let Some(id) = first {
            wake(id);
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        while let Some(id) = { self.waiting.lock().pop_front() } {
            wake(id);
        }
    }
}

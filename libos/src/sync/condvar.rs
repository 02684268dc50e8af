//! Waiting for a condition on a value behind a mutex.

use super::mutex::MutexGuard;
use crate::task::{WaitQueue, Woken};
use crate::thread::deadline_after;
use core::time::Duration;

/// A queue of threads that wait for a condition.
#[derive(Debug)]
pub struct Condvar {
    waiting: WaitQueue,
}

/// Whether a wait ended because its time was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitTimeoutResult(bool);

impl Condvar {
    /// Makes a queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: WaitQueue::new() }
    }

    /// Gives the lock back, waits to be notified, and takes the lock again. May return for no reason.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = guard.mutex();
        drop(guard);
        self.waiting.wait();
        mutex.lock()
    }

    /// Waits while `condition` holds.
    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// As [`Self::wait`], for at most `duration`.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        duration: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let mutex = guard.mutex();
        drop(guard);
        let woken = self.waiting.wait_until(deadline_after(duration));
        (mutex.lock(), WaitTimeoutResult(woken == Woken::ByTime))
    }

    /// Wakes the thread that has waited longest.
    pub fn notify_one(&self) {
        self.waiting.wake_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.waiting.wake_all();
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitTimeoutResult {
    /// Tells whether the time was over.
    #[must_use]
    pub const fn timed_out(self) -> bool {
        self.0
    }
}

//! Threads that wait for each other.

use super::condvar::Condvar;
use super::mutex::Mutex;

/// A place where threads wait until there are enough of them.
#[derive(Debug)]
pub struct Barrier {
    count: usize,
    state: Mutex<State>,
    complete: Condvar,
}

/// Whether the thread was the last of its round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BarrierWaitResult(bool);

#[derive(Debug)]
struct State {
    waiting: usize,
    round: usize,
}

impl Barrier {
    /// Makes a barrier for `count` threads.
    #[must_use]
    pub const fn new(count: usize) -> Self {
        Self { count, state: Mutex::new(State { waiting: 0, round: 0 }), complete: Condvar::new() }
    }

    /// Waits until as many threads wait here as the barrier is for; then all go on.
    pub fn wait(&self) -> BarrierWaitResult {
        let mut state = self.state.lock();
        let round = state.round;
        state.waiting += 1;
        if state.waiting < self.count {
            drop(self.complete.wait_while(state, |state| state.round == round));
            return BarrierWaitResult(false);
        }
        state.waiting = 0;
        state.round = round.wrapping_add(1);
        self.complete.notify_all();
        BarrierWaitResult(true)
    }
}

impl BarrierWaitResult {
    /// Tells whether the thread was the last of its round.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        self.0
    }
}

//! What came from a machine so far, shared between the thread that reads it and those that look at it.
//!
//! Bounded, for a guest may print for ever: beyond the limit the oldest half goes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most bytes that are kept.
const LIMIT: usize = 16 << 20;

/// A growing text.
#[derive(Debug, Default)]
pub(super) struct Capture {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    is_ended: bool,
}

impl Capture {
    /// Adds what came.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if state.bytes.len() + bytes.len() > LIMIT {
            state.bytes.drain(..LIMIT / 2);
        }
        state.bytes.extend_from_slice(bytes);
        self.grown.notify_all();
    }

    /// Says that nothing more will come.
    pub(super) fn end(&self) {
        self.lock().is_ended = true;
        self.grown.notify_all();
    }

    /// Returns what is kept, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits until `needle` stands in the text; tells whether it does.
    pub(super) fn wait_for(&self, needle: &str, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        loop {
            if contains(&state.bytes, needle.as_bytes()) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_ended || left.is_zero() {
                return false;
            }
            state = self.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || text.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_text_is_cut_at_its_beginning() {
        let capture = Capture::default();
        for _ in 0..40 {
            capture.push(&vec![b'a'; 1 << 20]);
        }
        capture.push(b"the end");
        assert!(capture.lock().bytes.len() <= LIMIT);
        assert!(capture.wait_for("the end", Duration::ZERO));
    }

    #[test]
    fn a_text_that_ended_is_not_waited_for() {
        let capture = Capture::default();
        capture.push(b"hello");
        capture.end();
        assert!(!capture.wait_for("world", Duration::from_secs(3600)));
    }
}

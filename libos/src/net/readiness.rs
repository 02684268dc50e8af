//! Who waits for what on a socket.
//!
//! The packet layer does not know threads. Whoever wants to wait leaves a token with the conditions it waits for;
//! when one of them holds, the token moves to the list of the woken, once. It is the same for a thread that blocks
//! in `read` and for a poll set. A token may outlive the wish to wait: who is woken looks again.

use alloc::vec::Vec;
use bitflags::bitflags;

bitflags! {
    /// What can be done with a socket without waiting.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) struct Readiness: u8 {
        /// Reading or accepting gives data, the end of the stream, or an error.
        const READABLE = 1;
        /// Writing takes bytes or gives an error.
        const WRITABLE = 2;
    }
}

/// Names someone who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(pub(crate) u64);

/// The tokens left at one socket.
#[derive(Debug)]
pub(crate) struct Waiters {
    waiting: Vec<(Readiness, Token)>,
}

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self { waiting: Vec::new() }
    }

    /// Leaves `token` until one of `conditions` holds. A token that is here already waits for both.
    pub(crate) fn add(&mut self, conditions: Readiness, token: Token) {
        match self.waiting.iter_mut().find(|(_, other)| *other == token) {
            Some((known, _)) => *known |= conditions,
            None => self.waiting.push((conditions, token)),
        }
    }

    /// Moves the tokens that wait for one of `ready` to `woken`.
    pub(crate) fn wake(&mut self, ready: Readiness, woken: &mut Vec<Token>) {
        let mut index = 0;
        while let Some((conditions, _)) = self.waiting.get(index) {
            if conditions.intersects(ready) {
                woken.push(self.waiting.swap_remove(index).1);
            } else {
                index += 1;
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_whose_condition_holds_are_woken_and_once() {
        let mut waiters = Waiters::new();
        let mut woken = Vec::new();
        waiters.add(Readiness::READABLE, Token(1));
        waiters.add(Readiness::WRITABLE, Token(2));
        waiters.add(Readiness::READABLE, Token(1));
        waiters.wake(Readiness::READABLE, &mut woken);
        waiters.wake(Readiness::READABLE, &mut woken);
        assert_eq!(woken, [Token(1)]);
        waiters.wake(Readiness::all(), &mut woken);
        assert_eq!(woken, [Token(1), Token(2)]);
        assert!(waiters.is_empty());
    }
}

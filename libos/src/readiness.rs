//! Who waits for what.
//!
//! Whatever can be waited for knows neither threads nor poll sets: it keeps a list of [`Waiters`]. Whoever waits
//! leaves a token there with the conditions it waits for; when one of them holds, the token moves to the list of the
//! woken. A thread's token does so once and is gone, that of a poll set's watch stays. A token may outlive the wish to
//! wait: who is woken looks again.

use crate::poll::{self, WatchId};
use crate::task::{self, ThreadId};
use alloc::vec::Vec;
use bitflags::bitflags;

bitflags! {
    /// What can be done with a socket without waiting, and what has become of it.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Readiness: u8 {
        /// Reading or accepting gives data, the end of the stream, or an error.
        const READABLE = 1;
        /// Writing takes bytes or gives an error.
        const WRITABLE = 2;
        /// The peer has sent its last byte.
        const ENDED = 4;
        /// Nothing will be sent or received any more.
        const BROKEN = 8;
    }
}

/// Names someone who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    /// A thread.
    Thread(ThreadId),
    /// A watch of a poll set.
    Watch(WatchId),
}

/// The tokens left at one place.
#[derive(Debug)]
pub(crate) struct Waiters {
    waiting: Vec<(Readiness, Token)>,
}

impl Token {
    /// Tells whoever it names.
    pub(crate) fn wake(self) {
        match self {
            Self::Thread(id) => task::wake(id),
            Self::Watch(id) => poll::notify(id),
        }
    }
}

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self { waiting: Vec::new() }
    }

    /// Leaves `token` until one of `conditions` holds. A token that is here already waits for both.
    pub(crate) fn add(&mut self, conditions: Readiness, token: Token) {
        match self.find(token) {
            Some((known, _)) => *known |= conditions,
            None => self.waiting.push((conditions, token)),
        }
    }

    /// Leaves a watch's token for good, or changes what it waits for.
    pub(crate) fn watch(&mut self, conditions: Readiness, id: WatchId) {
        let token = Token::Watch(id);
        match self.find(token) {
            Some((known, _)) => *known = conditions,
            None => self.waiting.push((conditions, token)),
        }
    }

    /// Takes a watch's token away.
    pub(crate) fn unwatch(&mut self, id: WatchId) {
        self.waiting.retain(|(_, token)| *token != Token::Watch(id));
    }

    /// Moves the tokens that wait for one of `ready` to `woken`; those of watches stay here, too.
    #[inline]
    pub(crate) fn wake(&mut self, ready: Readiness, woken: &mut Vec<Token>) {
        let mut index = 0;
        while let Some((conditions, token)) = self.waiting.get(index) {
            if !conditions.intersects(ready) {
                index += 1;
                continue;
            }
            woken.push(*token);
            match token {
                Token::Thread(_) => drop(self.waiting.swap_remove(index)),
                Token::Watch(_) => index += 1,
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn find(&mut self, token: Token) -> Option<&mut (Readiness, Token)> {
        self.waiting.iter_mut().find(|(_, other)| *other == token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(number: u64) -> Token {
        Token::Thread(ThreadId::from_bits(number))
    }

    #[test]
    fn only_those_whose_condition_holds_are_woken_and_once() {
        let mut waiters = Waiters::new();
        let mut woken = Vec::new();
        waiters.add(Readiness::READABLE, thread(1));
        waiters.add(Readiness::WRITABLE, thread(2));
        waiters.add(Readiness::READABLE, thread(1));
        waiters.wake(Readiness::READABLE, &mut woken);
        waiters.wake(Readiness::READABLE, &mut woken);
        assert_eq!(woken, [thread(1)]);
        waiters.wake(Readiness::all(), &mut woken);
        assert_eq!(woken, [thread(1), thread(2)]);
        assert!(waiters.is_empty());
    }

    #[test]
    fn a_watch_is_told_each_time_until_it_goes() {
        let mut waiters = Waiters::new();
        let mut woken = Vec::new();
        let id = WatchId::from_bits(3);
        waiters.watch(Readiness::READABLE, id);
        waiters.watch(Readiness::WRITABLE, id);
        waiters.wake(Readiness::READABLE, &mut woken);
        assert_eq!(woken, []);
        waiters.wake(Readiness::WRITABLE, &mut woken);
        waiters.wake(Readiness::WRITABLE, &mut woken);
        assert_eq!(woken, [Token::Watch(id); 2]);
        waiters.unwatch(id);
        assert!(waiters.is_empty());
    }
}

//! Poll sets: one thread waits for many sockets.
//!
//! What `epoll` is to a Linux program, with the same rules: a [`Poll`] holds a *ready list*, onto which a socket puts
//! its watch when something changes, so that neither waiting nor waking looks at sockets where nothing happened.
//! [`Poll::wait`] goes through that list, asks each socket what it is ready for, and in [`Mode::Level`] puts it back.
//!
//! ```ignore
//! let poll = Poll::new();
//! let watch = poll.watch(&stream, 7, Readiness::READABLE, Mode::Level);
//! poll.wait(&mut events, 64, None);
//! for event in events.drain(..) { /* event.key == 7 */ }
//! ```

mod table;

pub use crate::readiness::Readiness;
pub(crate) use table::{WatchId, notify};

use crate::task::{self, NEVER, Woken};
use crate::thread::deadline_after;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use table::SetId;

/// A set of watches, to wait for any of them.
#[derive(Debug)]
pub struct Poll {
    id: SetId,
}

/// A socket in a poll set; leaves the set on drop. It ends with the socket: that is not kept open by it.
#[derive(Debug)]
pub struct Watch {
    id: WatchId,
}

/// Something that has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// What the watch was given.
    pub key: u64,
    /// What the socket is ready for, of what was asked for; [`Readiness::BROKEN`] comes unasked.
    pub ready: Readiness,
}

/// When a watch tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// As long as the socket is ready.
    Level,
    /// When something has changed. The program then reads or writes until it would have to wait.
    Edge,
    /// Once, until [`Watch::change`].
    Once,
}

/// What can be watched: [`crate::net::TcpListener`], [`crate::net::TcpStream`], [`crate::net::UdpSocket`].
pub trait Source {
    /// Returns what a poll set asks.
    #[doc(hidden)]
    fn target(&self) -> Target;
}

/// What a poll set asks. Only the library OS can make one, so only its own sockets are sources.
pub struct Target(pub(crate) Box<dyn Pollable>);

/// What a poll set asks of a socket.
pub(crate) trait Pollable: Send {
    /// Returns what the socket is ready for; `None` if it is gone.
    fn readiness(&self) -> Option<Readiness>;

    /// Leaves a watch's token with the socket, or changes what it waits for.
    fn watch(&self, interest: Readiness, id: WatchId);

    /// Takes a watch's token away.
    fn unwatch(&self, id: WatchId);
}

impl Poll {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self { id: table::new_set() }
    }

    /// Adds a socket. Events carry `key`.
    #[must_use = "dropping a watch takes it out of the set"]
    pub fn watch(&self, source: &impl Source, key: u64, interest: Readiness, mode: Mode) -> Watch {
        let watch = Watch { id: table::new_watch(self.id, key, source.target().0) };
        watch.change(interest, mode);
        watch
    }

    /// Waits until something has happened, at most `timeout`, and appends up to `most` events. None: the time is over.
    pub fn wait(&self, events: &mut Vec<Event>, most: usize, timeout: Option<Duration>) {
        let before = events.len();
        table::collect(self.id, events, most);
        if events.len() > before {
            // The network moves, and others run, while threads wait; who always finds something to do never does.
            if table::is_always_busy(self.id) {
                task::poll();
                task::yield_to_others();
            }
            return;
        }
        let deadline_ns = timeout.map_or(NEVER, deadline_after);
        let waiting = table::waiting(self.id);
        while events.len() == before {
            let woken = waiting.wait_until(deadline_ns);
            table::collect(self.id, events, most);
            if woken == Woken::ByTime {
                return;
            }
        }
    }
}

impl Watch {
    /// Changes what is waited for, and tells anew what the socket is ready for already.
    pub fn change(&self, interest: Readiness, mode: Mode) {
        table::change(self.id, interest, mode);
    }
}

impl Default for Poll {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        table::remove_set(self.id);
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Target")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        table::remove_watch(self.id);
    }
}

#[cfg(test)]
mod tests;

//! A listening port: the handshakes under way and the connections that wait to be accepted.

use super::connection::ConnectionId;
use super::ports::Bound;
use crate::readiness::Waiters;
use crate::slots::Id;
use alloc::collections::VecDeque;

/// A listening port.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) bound: Bound,
    pub(crate) port: u16,
    /// Most handshakes under way, and most connections that wait.
    pub(crate) backlog: usize,
    /// Handshakes under way, oldest first; some may be over.
    pub(crate) half_open: VecDeque<ConnectionId>,
    /// How many of them are not over.
    pub(crate) half_open_count: usize,
    /// Connections that wait to be accepted.
    pub(crate) accepted: VecDeque<ConnectionId>,
    pub(crate) waiters: Waiters,
}

impl Listener {
    pub(crate) const fn new(bound: Bound, port: u16, backlog: usize) -> Self {
        Self {
            bound,
            port,
            backlog,
            half_open: VecDeque::new(),
            half_open_count: 0,
            accepted: VecDeque::new(),
            waiters: Waiters::new(),
        }
    }
}

/// Number of a listener.
pub(crate) type ListenerId = Id<Listener>;

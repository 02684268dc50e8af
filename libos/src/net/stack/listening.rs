//! Listeners, and the handshakes that peers begin.

use super::Stack;
use crate::net::connection::{Cause, ConnectionId, Phase};
use crate::net::device::Transmitter;
use crate::net::error::Error;
use crate::net::frame::Tuple;
use crate::net::link::Route;
use crate::net::listener::{Listener, ListenerId};
use crate::readiness::{Readiness, Token, Waiters};
use core::net::SocketAddr;
use smoltcp::socket::tcp::State;
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpListenEndpoint};

impl Stack {
    /// Listens at `address`; port 0 takes a free one. Returns the port, too.
    pub(crate) fn listen(
        &mut self,
        address: impl Into<SocketAddr>,
        backlog: usize,
    ) -> Result<(ListenerId, u16), Error> {
        let (bound, port) = self.place(address.into(), |stack| &stack.listening)?;
        // Neither handshakes nor those who wait may take all connections that memory allows.
        let backlog = backlog.clamp(1, (self.pool.limit() / 2).max(1));
        let id = self.listeners.insert(Listener::new(bound, port, backlog));
        self.listening.insert(bound, port, id);
        Ok((id, port))
    }

    /// Takes a connection that waits at a listener.
    pub(crate) fn accept(&mut self, id: ListenerId) -> Result<Option<(ConnectionId, Tuple)>, Error> {
        let listener = self.listeners.get_mut(id).ok_or(Error::NoSuchSocket)?;
        while let Some(waiting) = listener.accepted.pop_front() {
            if let Some(connection) = self.connections.get(waiting) {
                return Ok(Some((waiting, connection.tuple)));
            }
        }
        Ok(None)
    }

    /// Leaves `token` until a connection waits at the listener.
    pub(crate) fn wait_for_connection(&mut self, id: ListenerId, token: Token) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.waiters.add(Readiness::READABLE, token);
        }
    }

    /// Tells whether a connection waits at the listener; `None` if that is gone.
    pub(crate) fn has_accepted(&self, id: ListenerId) -> Option<bool> {
        self.listeners.get(id).map(|listener| !listener.accepted.is_empty())
    }

    /// Returns who waits at a listener.
    pub(crate) fn listener_waiters(&mut self, id: ListenerId) -> Option<&mut Waiters> {
        self.listeners.get_mut(id).map(|listener| &mut listener.waiters)
    }

    /// Stops to listen. Connections that nobody has accepted are broken off.
    pub(crate) fn stop_listening(&mut self, id: ListenerId) {
        let Some(mut listener) = self.listeners.remove(id) else { return };
        self.listening.remove(listener.bound, listener.port);
        listener.waiters.wake(Readiness::all(), &mut self.woken);
        for id in listener.accepted {
            self.abort(id);
        }
        for id in listener.half_open {
            // The others have been accepted long ago.
            if self.is_half_open(id) {
                self.abort(id);
            }
        }
    }

    pub(super) fn settle_half_open(&mut self, id: ConnectionId, listener: ListenerId, state: State) {
        if state == State::SynReceived {
            return;
        }
        let Some(listener) = self.listeners.get_mut(listener) else { return self.recycle(id) };
        listener.half_open_count -= 1;
        if matches!(state, State::Listen | State::Closed) {
            return self.recycle(id);
        }
        listener.accepted.push_back(id);
        listener.waiters.wake(Readiness::READABLE, &mut self.woken);
        let connection = self.connections.get_mut(id).expect("the caller has just used it");
        connection.phase = Phase::Open;
        connection.observe(Cause::Segment);
    }

    /// Answers a SYN.
    pub(super) fn open(
        &mut self,
        now: Instant,
        frame: &[u8],
        tuple: Tuple,
        id: ListenerId,
        transmitter: &mut impl Transmitter,
        route: Route,
    ) {
        let Some(listener) = self.listeners.get(id) else { return };
        if listener.accepted.len() >= listener.backlog {
            return;
        }
        if listener.half_open_count >= listener.backlog {
            self.drop_oldest_half_open(id);
        }
        let Some(mut connection) = self.take_connection() else { return };
        connection.renew(tuple, route, Phase::HalfOpen(id));
        let endpoint = IpListenEndpoint { addr: Some(IpAddress::from(tuple.local)), port: tuple.local_port };
        connection
            .socket_mut()
            .listen(endpoint)
            .expect("a renewed socket is closed, and no listener has port 0");
        self.link.take_frame(now, frame, &mut connection.line, transmitter);
        if connection.socket().state() != State::SynReceived {
            return self.put_away(connection);
        }
        let connection = self.insert(connection);
        self.mark(connection);
        let listener = self.listeners.get_mut(id).expect("it was there before, and nothing removes one here");
        listener.half_open_count += 1;
        listener.half_open.push_back(connection);
        self.tidy_half_open(id);
    }

    /// Makes room for a handshake: under a flood of SYNs the oldest one is the least likely to be completed.
    pub(super) fn drop_oldest_half_open(&mut self, id: ListenerId) {
        while let Some(oldest) =
            self.listeners.get_mut(id).and_then(|listener| listener.half_open.pop_front())
        {
            if self.is_half_open(oldest) {
                self.recycle(oldest);
                if let Some(listener) = self.listeners.get_mut(id) {
                    listener.half_open_count -= 1;
                }
                return;
            }
        }
    }

    /// Drops handshakes that are over from the list of those under way.
    pub(super) fn tidy_half_open(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(id) else { return };
        if listener.half_open.len() > 2 * listener.half_open_count + listener.backlog {
            let connections = &self.connections;
            listener.half_open.retain(|id| {
                connections.get(*id).is_some_and(|connection| matches!(connection.phase, Phase::HalfOpen(_)))
            });
        }
    }

    pub(super) fn is_half_open(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|connection| matches!(connection.phase, Phase::HalfOpen(_)))
    }

    pub(super) fn listener_for(&self, tuple: Tuple) -> Option<ListenerId> {
        let id = self.listening.get(tuple.local, tuple.local_port)?;
        self.listeners.get(id)?.bound.takes(tuple.local).then_some(id)
    }
}

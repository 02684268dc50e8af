//! TCP: from segments to connections, and what the program does with them.

use super::{FIRST_EPHEMERAL_PORT, Stack, next_ephemeral};
use crate::net::config::is_host;
use crate::net::connection::{Cause, Connection, ConnectionId, Phase};
use crate::net::device::Transmitter;
use crate::net::error::Error;
use crate::net::frame::{Key, Opens, Tuple};
use crate::net::link::Route;
use crate::net::ports::{Bound, Ports, canonical};
use crate::readiness::{Readiness, Token, Waiters};
use alloc::boxed::Box;
use core::net::SocketAddr;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint, IpRepr, TcpRepr};

impl Stack {
    /// Returns who waits at a connection.
    pub(crate) fn connection_waiters(&mut self, id: ConnectionId) -> Option<&mut Waiters> {
        self.connections.get_mut(id).map(|connection| &mut connection.waiters)
    }

    /// Starts to connect to `remote`.
    pub(crate) fn connect(&mut self, remote: impl Into<SocketAddr>) -> Result<ConnectionId, Error> {
        let remote = canonical(remote.into());
        let address = remote.ip();
        if remote.port() == 0 || !(is_host(address) || address.is_loopback()) {
            return Err(Error::BadAddress);
        }
        let route = self.link.route(address).ok_or(Error::Unreachable)?;
        let local = self.link.source_for(address).ok_or(Error::Unreachable)?;
        let tuple_with =
            |local_port| Tuple { local, remote: address, local_port, remote_port: remote.port() };
        let port = self.free_port(|stack, port| {
            !stack.tuples.contains_key(&Key::from(tuple_with(port)))
                && stack.listening.is_free(Bound::Any, port)
        })?;
        let mut connection = self.take_connection().ok_or(Error::TooManyConnections)?;
        connection.renew(tuple_with(port), route, Phase::Connecting);
        let remote = IpEndpoint::from(remote);
        let local = IpEndpoint::new(IpAddress::from(local), port);
        if connection.socket_mut().connect(self.link.context(), remote, local).is_err() {
            self.pool.give_back(connection);
            return Err(Error::BadAddress);
        }
        let id = self.insert(connection);
        self.mark(id);
        Ok(id)
    }

    /// Tells how connecting stands: `Ok(true)` when it is done.
    pub(crate) fn connected(&self, id: ConnectionId) -> Result<Progress, Error> {
        let connection = self.connections.get(id).ok_or(Error::NoSuchSocket)?;
        match connection.phase {
            Phase::Connecting if connection.socket().state() == State::Closed => {
                Err(connection.failure().unwrap_or(Error::Refused))
            }
            Phase::Connecting => Ok(Progress::Waiting),
            _ => Ok(Progress::Done),
        }
    }

    /// Calls `act` with a connection, and looks after it if that has read from it or written to it: there may be
    /// something to send.
    #[inline]
    pub(crate) fn use_connection<R>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection) -> Result<Option<R>, Error>,
    ) -> Result<Option<R>, Error> {
        let connection = self.connections.get_mut(id).ok_or(Error::NoSuchSocket)?;
        let result = act(connection)?;
        if result.is_some() && !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
        Ok(result)
    }

    /// Leaves `token` until one of `conditions` holds for the connection.
    pub(crate) fn wait_for(&mut self, id: ConnectionId, conditions: Readiness, token: Token) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.waiters.add(conditions, token);
        }
    }

    /// Calls `change` with a connection.
    pub(crate) fn with_connection<R>(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Connection) -> R,
    ) -> Result<R, Error> {
        self.connections.get_mut(id).map(|connection| change(connection)).ok_or(Error::NoSuchSocket)
    }

    /// Asks the peer whether it is still there whenever it is silent for `interval`.
    pub(crate) fn set_keep_alive(
        &mut self,
        now: Instant,
        id: ConnectionId,
        interval: Option<Duration>,
    ) -> Result<(), Error> {
        self.with_connection(id, |connection| connection.set_keep_alive(now, interval))?;
        self.mark(id);
        Ok(())
    }

    /// Closes the sending side: the peer reads the end after all that was written.
    pub(crate) fn close_sending(&mut self, id: ConnectionId) -> Result<(), Error> {
        self.with_connection(id, |connection| connection.socket_mut().close())?;
        self.mark(id);
        Ok(())
    }

    /// Lets go of a connection. What is written is still sent, in the background.
    pub(crate) fn abandon(&mut self, id: ConnectionId) {
        if self.with_connection(id, Connection::abandon).is_ok() {
            self.mark(id);
            self.settle(id, Cause::Timer);
        }
    }

    /// Breaks a connection off.
    pub(crate) fn abort(&mut self, id: ConnectionId) {
        let aborted = self.with_connection(id, |connection| {
            connection.phase = Phase::Orphan;
            connection.socket_mut().abort();
        });
        if aborted.is_ok() {
            self.mark(id);
            self.settle(id, Cause::Timer);
        }
    }

    /// Tells whether some connection that the program has let go of has still something to send.
    pub(crate) fn has_unsent(&self) -> bool {
        self.connections.iter().any(|connection| {
            matches!(connection.phase, Phase::Orphan) && !connection.is_over()
                || connection.socket().send_queue() > 0
        })
    }

    pub(super) fn deliver_segment(
        &mut self,
        now: Instant,
        frame: &[u8],
        tuple: Tuple,
        opens: Opens,
        transmitter: &mut impl Transmitter,
        route: Route,
    ) {
        if let Some(&id) = self.tuples.get(&Key::from(tuple)) {
            let connection = self.connections.get_mut(id).expect("the tables name the same connections");
            if connection.line.route() != route {
                return;
            }
            // A peer that opens anew has forgotten the old connection (RFC 9293, 3.6.1).
            if connection.phase == Phase::Lingering
                && opens == Opens::Connection
                && self.listener_for(tuple).is_some()
            {
                self.recycle(id);
            } else {
                return self.take_frame(now, frame, id, transmitter);
            }
        }
        if !self.is_proper(tuple, route) {
            return;
        }
        let listener = match opens {
            Opens::Connection => self.listener_for(tuple),
            Opens::Nothing => None,
        };
        match listener {
            Some(listener) => self.open(now, frame, tuple, listener, transmitter, route),
            None => self.answer(now, frame, transmitter, route),
        }
    }

    /// Takes a segment of an open connection that came by the wire and is of the usual form, and tells whether it was
    /// one.
    #[inline]
    pub(super) fn take_usual_segment(
        &mut self,
        now: Instant,
        frame: &[u8],
        transmitter: &mut impl Transmitter,
    ) -> bool {
        let Some(read) = self.link.read_segment(frame) else { return false };
        let Some(&id) = key_of(&read).and_then(|key| self.tuples.get(&key)) else { return false };
        let Some(connection) = self.connections.get_mut(id) else { return false };
        let tuple = connection.tuple;
        if !self.link.has_short_way(now, frame, tuple, &mut connection.line) {
            return false;
        }
        self.link.take_segment(now, &read, &mut connection.line, transmitter);
        self.go_on(id);
        true
    }

    fn take_frame(
        &mut self,
        now: Instant,
        frame: &[u8],
        id: ConnectionId,
        transmitter: &mut impl Transmitter,
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.link.take_frame(now, frame, &mut connection.line, transmitter);
        self.go_on(id);
    }

    /// Does what follows from a segment.
    #[inline]
    fn go_on(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let goes_on = connection.goes_on(&mut self.woken);
        if !connection.is_dirty {
            if goes_on && connection.socket().is_at_rest() {
                // The peer has acknowledged all there was: it needs no turn.
                connection.deadline = None;
            } else {
                connection.is_dirty = true;
                self.dirty.push(id);
            }
        }
        if !goes_on {
            self.settle(id, Cause::Segment);
        }
    }

    /// Does what follows from what a segment, a timer or the program did to a connection.
    pub(super) fn settle(&mut self, id: ConnectionId, cause: Cause) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.observe(cause);
        let state = connection.socket().state();
        match connection.phase {
            Phase::HalfOpen(listener) => return self.settle_half_open(id, listener, state),
            Phase::Connecting if !matches!(state, State::SynSent | State::SynReceived | State::Closed) => {
                connection.phase = Phase::Open;
                connection.observe(cause);
            }
            Phase::Orphan if connection.is_over() => return self.recycle(id),
            Phase::Orphan if state == State::TimeWait => {
                connection.phase = Phase::Lingering;
                return self.linger(id);
            }
            // Nobody will read what still comes. A socket that is closed already has its reset to send, which may
            // have to wait; to mark it here would try that without end.
            Phase::Orphan if state != State::Closed && connection.socket().can_recv() => {
                connection.socket_mut().abort();
                return self.mark(id);
            }
            Phase::Lingering if state == State::Closed => return self.recycle(id),
            _ => {}
        }
        if !connection.waiters.is_empty() {
            let ready = connection.readiness();
            connection.waiters.wake(ready, &mut self.woken);
        }
    }

    /// Keeps a connection in `TIME_WAIT`, but not more of them than memory is worth.
    fn linger(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.socket_mut().release_buffers();
        }
        self.lingering.push_back(id);
        self.lingering_count += 1;
        if self.lingering_count > self.pool.limit() / 4 {
            self.drop_oldest_lingering();
        }
        while self.lingering.front().is_some_and(|oldest| self.connections.get(*oldest).is_none()) {
            self.lingering.pop_front();
        }
    }

    fn drop_oldest_lingering(&mut self) -> bool {
        while let Some(oldest) = self.lingering.pop_front() {
            if self.connections.get(oldest).is_some() {
                self.recycle(oldest);
                return true;
            }
        }
        false
    }

    /// Takes an unused connection; if there is none, that of the oldest `TIME_WAIT`.
    pub(super) fn take_connection(&mut self) -> Option<Box<Connection>> {
        if let Some(connection) = self.pool.take() {
            return Some(connection);
        }
        if self.drop_oldest_lingering() { self.pool.take() } else { None }
    }

    pub(super) fn insert(&mut self, connection: Box<Connection>) -> ConnectionId {
        let tuple = connection.tuple;
        let id = self.connections.insert(connection);
        self.tuples.insert(tuple.into(), id);
        id
    }

    /// Forgets a connection; its buffers go back to the pool.
    pub(super) fn recycle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(id) else { return };
        self.tuples.remove(&Key::from(connection.tuple));
        if connection.phase == Phase::Lingering {
            self.lingering_count -= 1;
        }
        self.put_away(connection);
    }

    pub(super) fn put_away(&mut self, mut connection: Box<Connection>) {
        connection.waiters.wake(Readiness::all(), &mut self.woken);
        connection.socket_mut().abort();
        self.pool.give_back(connection);
    }

    /// Returns what a socket that is to be bound to `address` takes, and its port: a free one of `ports` for port 0.
    pub(super) fn place<T>(
        &mut self,
        address: SocketAddr,
        ports: impl Fn(&Self) -> &Ports<T>,
    ) -> Result<(Bound, u16), Error> {
        let bound = Bound::to(address.ip());
        if bound.only().is_some_and(|own| !self.link.is_own(own)) {
            return Err(Error::NotOurAddress);
        }
        match address.port() {
            0 => self.free_port(|stack, port| ports(stack).is_free(bound, port)).map(|port| (bound, port)),
            port if ports(self).is_free(bound, port) => Ok((bound, port)),
            _ => Err(Error::PortInUse),
        }
    }

    /// Returns the next ephemeral port that `is_free`.
    fn free_port(&mut self, is_free: impl Fn(&Self, u16) -> bool) -> Result<u16, Error> {
        for _ in FIRST_EPHEMERAL_PORT..=u16::MAX {
            let port = self.next_port;
            self.next_port = next_ephemeral(port);
            if is_free(self, port) {
                return Ok(port);
            }
        }
        Err(Error::NoPortLeft)
    }
}

#[inline]
fn key_of((ip, segment): &(IpRepr, TcpRepr<'_>)) -> Option<Key> {
    match ip {
        IpRepr::Ipv4(ip) => Some(Key::of_v4(ip.dst_addr, ip.src_addr, segment.dst_port, segment.src_port)),
        IpRepr::Ipv6(_) => None,
    }
}

/// How connecting stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// The peer has not answered yet.
    Waiting,
    /// The connection is open.
    Done,
}

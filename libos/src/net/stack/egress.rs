//! The way out: the dirty list, the timers, and what becomes of a connection after its turn.

use super::{DeviceRoom, Stack};
use crate::net::connection::{Cause, Connection, ConnectionId, Phase};
use crate::net::datagram::Sender;
use crate::net::deadlines::Deadlines;
use crate::net::device::Transmitter;
use crate::net::error::Error;
use crate::net::link::Egress;
use core::mem;
use core::net::IpAddr;
use smoltcp::socket::tcp::State;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::HardwareAddress;

/// Most frames that one connection sends before the next one's turn.
const BURST: usize = 64;
/// When to look again at a device that has no room, if it does not say so itself.
const FULL_DELAY: Duration = Duration::from_micros(200);
/// When to look again at a socket that says "now" and then sends nothing.
const IDLE_DELAY: Duration = Duration::from_millis(1);
/// How long connecting asks for the Ethernet address of the peer: three times, as Linux does.
const NEIGHBOR_PATIENCE: Duration = Duration::from_secs(3);
/// Entries of the timers and the lists of connections, beyond two a connection, at which one is tidied: one is left
/// for each connection then, so that the work is spread over as many new entries at least.
pub(super) const STALE_ENTRIES: usize = 1024;

/// What asking one connection for frames came to.
#[derive(Clone, Copy)]
enum Turn {
    /// It has sent all it may.
    Done(Option<Instant>),
    /// It has more, but the others first.
    More,
    /// It waits for an Ethernet address.
    Unresolved(Option<Instant>),
    /// The device has no room.
    Full,
}

impl Stack {
    /// Sends what is due.
    pub(crate) fn send_due(&mut self, now: Instant, transmitter: &mut impl Transmitter) {
        self.poll_services(now, transmitter);
        while let Some((at, id)) = self.timers.pop_due(now) {
            self.fire(now, at, id);
        }
        self.device = DeviceRoom::Enough;
        let mut list = mem::replace(&mut self.dirty, mem::take(&mut self.dirty_spare));
        for id in list.drain(..) {
            self.take_turn(now, id, transmitter);
        }
        self.dirty_spare = list;
        self.tidy();
    }

    /// Returns when [`Self::send_due`] wants to run again if nothing happens before.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.link.has_local() {
            return Some(now);
        }
        if !self.dirty.is_empty() {
            return Some(if self.device == DeviceRoom::Full { now + FULL_DELAY } else { now });
        }
        let dhcp = self.dhcp.as_ref().map(|dhcp| dhcp.deadline());
        if !self.unclaimed.is_empty() {
            return Some(now);
        }
        let pieces = self.link.has_pieces().then(|| now + FULL_DELAY);
        let names = self.dns.deadline();
        let datagrams = self.sender.as_ref().and_then(Sender::deadline);
        let others = [self.timers.next(), dhcp, self.autoconf_deadline, names, datagrams, pieces];
        others.into_iter().flatten().min()
    }

    /// Puts a connection on the dirty list.
    pub(super) fn mark(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Sees whether `neighbor`, of whom `known` was known before it was heard, has told something new. Those who wait
    /// for an Ethernet address may be many, and so may be those who tell what is known already.
    #[inline(never)]
    pub(super) fn compare_neighbor(
        &mut self,
        now: Instant,
        neighbor: Option<IpAddr>,
        known: Option<HardwareAddress>,
        transmitter: &mut impl Transmitter,
    ) {
        if self.link.hardware_of(now, neighbor) != known {
            self.link.forget_paths();
            self.resolve_again(now, transmitter);
        }
    }

    /// Tries again what waits for an Ethernet address that is known now.
    fn resolve_again(&mut self, now: Instant, transmitter: &mut impl Transmitter) {
        for id in mem::take(&mut self.unresolved) {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            // Asked too early the socket would keep silent until its timer.
            if self.link.has_neighbor(connection.tuple.remote) {
                connection.is_unresolved = false;
                self.mark(id);
            } else {
                self.unresolved.push_back(id);
            }
        }
        if let Some(sender) = &mut self.sender {
            sender.retry(now, &mut self.link, transmitter);
        }
        if self.dns.is_waiting() {
            self.dns.hasten(now);
        }
    }

    fn take_turn(&mut self, now: Instant, id: ConnectionId, transmitter: &mut impl Transmitter) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.is_dirty = false;
        if self.device == DeviceRoom::Full {
            return self.mark(id);
        }
        if let Some(next) = self.link.send_expected(now, &mut connection.line, transmitter) {
            return await_deadline(&mut self.timers, id, connection, Some(next));
        }
        let mut turn = Turn::More;
        for _ in 0..BURST {
            let egress = self.link.send_segment(now, connection.tuple, &mut connection.line, transmitter);
            let next = match egress {
                Egress::Full => {
                    turn = Turn::Full;
                    break;
                }
                _ => self.link.segment_deadline(now, &connection.line),
            };
            match egress {
                Egress::Sent if next.is_some_and(|next| next <= now) => {}
                Egress::Unresolved => {
                    turn = Turn::Unresolved(next);
                    break;
                }
                _ => {
                    turn = Turn::Done(next.map(|next| next.max(now + Duration::from_micros(1))));
                    break;
                }
            }
        }
        self.end_turn(now, id, turn);
    }

    fn end_turn(&mut self, now: Instant, id: ConnectionId, turn: Turn) {
        match turn {
            Turn::Done(next) => self.schedule(now, id, next),
            Turn::More => self.mark(id),
            Turn::Full => {
                self.device = DeviceRoom::Full;
                self.mark(id);
            }
            // What broke a connection off is no news to a host that is gone.
            Turn::Unresolved(_) if self.is_broken_orphan(id) => return self.recycle(id),
            Turn::Unresolved(_) if self.has_no_neighbor(now, id) => {
                let _ = self.with_connection(id, |connection| connection.fail(Error::HostUnreachable));
            }
            Turn::Unresolved(next) => {
                self.schedule(now, id, next);
                if let Some(connection) = self.connections.get_mut(id)
                    && !connection.is_unresolved
                {
                    connection.is_unresolved = true;
                    self.unresolved.push_back(id);
                }
            }
        }
        if self.connections.get(id).is_some_and(|connection| !connection.socket().is_open()) {
            self.settle(id, Cause::Timer);
        }
    }

    fn is_broken_orphan(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|connection| {
            connection.phase == Phase::Orphan && connection.socket().state() == State::Closed
        })
    }

    /// Tells whether a connection under way has asked for the peer's Ethernet address in vain for too long.
    fn has_no_neighbor(&mut self, now: Instant, id: ConnectionId) -> bool {
        self.connections.get_mut(id).is_some_and(|connection| {
            let since = *connection.unresolved_since.get_or_insert(now);
            connection.phase == Phase::Connecting && now >= since + NEIGHBOR_PATIENCE
        })
    }

    /// Makes the connection dirty if its time has come. Mostly it has gone on since the timer was set: then the timer
    /// follows, and the socket is not asked.
    fn fire(&mut self, now: Instant, at: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.timer != Some(at) {
            return;
        }
        connection.timer = None;
        if connection.is_stuck(now) {
            return self.abort(id);
        }
        match connection.deadline {
            Some(deadline) if deadline > now => {
                connection.timer = Some(deadline);
                self.timers.add(deadline, id);
            }
            Some(_) => {
                connection.limit_silence(now);
                self.mark(id);
            }
            None => {}
        }
    }

    /// Drops entries of connections that are gone, or have gone on, from lists of which there are too many.
    fn tidy(&mut self) {
        let connections = &self.connections;
        let most = 2 * connections.len() + STALE_ENTRIES;
        if self.timers.len() > most {
            self.timers.retain(|at, id| connections.get(id).is_some_and(|its| its.timer == Some(at)));
        }
        for list in [&mut self.unresolved, &mut self.lingering] {
            if list.len() > most {
                list.retain(|id| connections.get(*id).is_some());
            }
        }
    }

    /// Makes the connection dirty at `next`.
    fn schedule(&mut self, now: Instant, id: ConnectionId, next: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let next = next.map(|next| if next <= now { now + IDLE_DELAY } else { next });
        await_deadline(&mut self.timers, id, connection, next);
    }
}

/// Sets when a connection has its next turn. A timer for an earlier time stays.
#[inline]
fn await_deadline(
    timers: &mut Deadlines,
    id: ConnectionId,
    connection: &mut Connection,
    next: Option<Instant>,
) {
    connection.deadline = next;
    if let Some(deadline) = next
        && connection.timer.is_none_or(|timer| deadline < timer)
    {
        connection.timer = Some(deadline);
        timers.add(deadline, id);
    }
}

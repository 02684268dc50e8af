//! Checks that the tables agree with each other; for tests, which call it after whatever they have done to a stack.

use super::Stack;
use super::egress::STALE_ENTRIES;
use crate::net::connection::{Connection, ConnectionId, Phase};
use crate::net::frame::Key;
use crate::slots::Id;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;
use smoltcp::time::Instant;

impl Stack {
    /// Checks all tables.
    ///
    /// # Panics
    ///
    /// If two of them contradict each other, or one holds more than it may.
    pub(crate) fn audit(&self) {
        self.audit_connections();
        self.audit_listeners();
        self.audit_lists();
        for (port, id) in self.datagram_ports.iter() {
            assert_eq!(self.datagrams.get(id).map(|datagram| datagram.port), Some(port));
        }
        assert_eq!(sockets(self.datagram_ports.iter()), self.datagrams.len(), "each UDP socket has a port");
    }

    /// Returns how many entries the tables have room for, and how many connections with their buffers are kept.
    pub(crate) fn memory(&self) -> [usize; 11] {
        [
            self.connections.capacity(),
            self.tuples.capacity(),
            self.listeners.capacity(),
            self.listening.capacity(),
            self.datagrams.capacity(),
            self.dirty.capacity() + self.dirty_spare.capacity(),
            self.unresolved.capacity(),
            self.lingering.capacity(),
            self.timers.capacity(),
            self.pool.idle(),
            self.listening
                .iter()
                .filter_map(|(_, id)| self.listeners.get(id))
                .map(|listener| listener.half_open.capacity() + listener.accepted.capacity())
                .sum(),
        ]
    }

    /// Returns the name servers that routers have told.
    pub(crate) fn servers_v6(&self) -> &[IpAddr] {
        &self.servers_v6
    }

    /// Returns how many bytes the connections take, with their buffers and their share of the tables.
    pub(crate) fn connection_bytes(&self) -> usize {
        let boxes: usize = self
            .connections
            .iter()
            .map(|connection| {
                let socket = connection.socket();
                Connection::BYTES + socket.recv_capacity() + socket.send_capacity()
            })
            .sum();
        let tables = self.connections.capacity() * size_of::<(Option<Box<Connection>>, u64)>()
            + self.tuples.capacity() * (size_of::<(Key, ConnectionId)>() + 1)
            + self.timers.capacity() * size_of::<(Instant, ConnectionId)>();
        boxes + tables
    }

    /// Returns how many bytes buffers may still take beyond their floors.
    pub(crate) fn budget_left(&self) -> usize {
        self.pool.budget_left()
    }

    fn audit_connections(&self) {
        assert_eq!(self.tuples.len(), self.connections.len(), "each connection has its ends");
        for (key, id) in &self.tuples {
            assert_eq!(self.connections.get(*id).map(|connection| connection.tuple.into()), Some(*key));
        }
        assert_eq!(self.pool.used, self.connections.len(), "no connection is lost");
        assert!(self.pool.used <= self.pool.limit(), "memory is bounded");
        assert_eq!(self.count(|phase| phase == Phase::Lingering), self.lingering_count);
        let listed = self.lingering.iter().filter(|id| self.is_in(**id, Phase::Lingering)).count();
        assert_eq!(listed, self.lingering_count, "each connection in TIME_WAIT can give way");
    }

    fn audit_listeners(&self) {
        assert_eq!(sockets(self.listening.iter()), self.listeners.len(), "each listener has a port");
        let mut half_open_count = 0;
        let listening: BTreeMap<u16, _> = self.listening.iter().collect();
        for (port, id) in listening {
            let listener = self.listeners.get(id).expect("each port has a listener");
            assert_eq!(listener.port, port);
            assert!(listener.half_open_count <= listener.backlog, "handshakes are bounded");
            let under_way = Phase::HalfOpen(id);
            let listed = listener.half_open.iter().filter(|id| self.is_in(**id, under_way)).count();
            assert_eq!(listed, listener.half_open_count, "each handshake can give way");
            assert_eq!(self.count(|phase| phase == under_way), listed);
            // Tidied when one comes; those that go later stay until then.
            assert!(listener.half_open.len() <= 3 * listener.backlog, "the list of handshakes is bounded");
            // Handshakes that were under way when the backlog was full are still let in.
            assert!(listener.accepted.len() <= 2 * listener.backlog, "those who wait are bounded");
            half_open_count += listed;
        }
        let all = self.count(|phase| matches!(phase, Phase::HalfOpen(_)));
        assert_eq!(all, half_open_count, "no handshake has lost its listener");
    }

    fn audit_lists(&self) {
        let connections = &self.connections;
        let listed = self.dirty.iter().filter(|id| connections.get(**id).is_some()).count();
        assert_eq!(listed, connections.iter().filter(|connection| connection.is_dirty).count());
        let listed = self.unresolved.iter().filter(|id| connections.get(**id).is_some()).count();
        assert_eq!(listed, connections.iter().filter(|connection| connection.is_unresolved).count());
        let most = 2 * connections.len() + 2 * STALE_ENTRIES;
        for length in [self.timers.len(), self.unresolved.len(), self.lingering.len()] {
            assert!(length <= most, "stale entries are dropped");
        }
        for connection in connections.iter().filter(|connection| connection.timer.is_some()) {
            assert!(connection.timer >= self.timers.next(), "a connection's timer is set");
        }
    }

    fn count(&self, is_meant: impl Fn(Phase) -> bool) -> usize {
        self.connections.iter().filter(|connection| is_meant(connection.phase)).count()
    }

    fn is_in(&self, id: ConnectionId, phase: Phase) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.phase == phase)
    }
}

/// Counts the sockets that have entries in a table of ports.
fn sockets<T>(entries: impl Iterator<Item = (u16, Id<T>)>) -> usize {
    entries.map(|(_, id)| id.to_bits()).collect::<BTreeSet<_>>().len()
}

//! Sockets in poll sets.

use super::connection::ConnectionId;
use super::datagram::DatagramId;
use super::listener::ListenerId;
use super::runtime;
use super::stack::Stack;
use super::tcp::{TcpListener, TcpStream};
use super::udp::UdpSocket;
use crate::poll::{Pollable, Source, Target, WatchId};
use crate::readiness::{Readiness, Waiters};
use alloc::boxed::Box;

/// A kind of socket in the tables.
trait Socket: Copy + Send {
    fn readiness(self, stack: &mut Stack) -> Option<Readiness>;

    fn waiters(self, stack: &mut Stack) -> Option<&mut Waiters>;
}

struct Watched<S>(S);

impl<S: Socket> Pollable for Watched<S> {
    fn readiness(&self) -> Option<Readiness> {
        runtime::with(|shard, _| self.0.readiness(shard.stack())).ok()?
    }

    fn watch(&self, interest: Readiness, id: WatchId) {
        self.change(|waiters| waiters.watch(interest, id));
    }

    fn unwatch(&self, id: WatchId) {
        self.change(|waiters| waiters.unwatch(id));
    }
}

impl<S: Socket> Watched<S> {
    /// Calls `change` with the socket's waiters, unless it is gone; who watches learns so when it asks.
    fn change(&self, change: impl FnOnce(&mut Waiters)) {
        let _ = runtime::with(|shard, _| self.0.waiters(shard.stack()).map(change));
    }
}

impl Socket for ConnectionId {
    fn readiness(self, stack: &mut Stack) -> Option<Readiness> {
        stack.with_connection(self, |connection| connection.readiness()).ok()
    }

    fn waiters(self, stack: &mut Stack) -> Option<&mut Waiters> {
        stack.connection_waiters(self)
    }
}

impl Socket for ListenerId {
    fn readiness(self, stack: &mut Stack) -> Option<Readiness> {
        stack.has_accepted(self).map(
            |has_accepted| {
                if has_accepted { Readiness::READABLE } else { Readiness::empty() }
            },
        )
    }

    fn waiters(self, stack: &mut Stack) -> Option<&mut Waiters> {
        stack.listener_waiters(self)
    }
}

impl Socket for DatagramId {
    fn readiness(self, stack: &mut Stack) -> Option<Readiness> {
        let can_receive = stack.with_datagram(self, |datagram| datagram.can_receive()).ok()?;
        // What is sent is handed to the device at once.
        Some(if can_receive { Readiness::READABLE | Readiness::WRITABLE } else { Readiness::WRITABLE })
    }

    fn waiters(self, stack: &mut Stack) -> Option<&mut Waiters> {
        stack.datagram_waiters(self)
    }
}

macro_rules! source {
    ($kind:ty, $id:expr) => {
        impl Source for $kind {
            fn target(&self) -> Target {
                let id: fn(&$kind) -> _ = $id;
                Target(Box::new(Watched(id(self))))
            }
        }
    };
}

source!(TcpStream, |stream| stream.id());
source!(TcpListener, |listener| listener.id());
source!(UdpSocket, |socket| socket.id());

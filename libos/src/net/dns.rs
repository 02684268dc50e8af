//! Names to addresses by DNS (RFC 1035), for whoever asks: several questions may be under way at once.

use super::device::Outlet;
use super::link::{Egress, Link, Route};
use crate::readiness::{Readiness, Token, Waiters};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dns::{GetQueryResultError, QueryHandle, Socket};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DnsQueryType, IpAddress};

/// The server's port.
pub(crate) const SERVER_PORT: u16 = 53;
/// Most datagrams that one poll sends.
const BURST: usize = 8;

/// The resolver.
pub(crate) struct Dns {
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    has_servers: bool,
    open: usize,
    deadline: Option<Instant>,
    pub(crate) waiters: Waiters,
}

/// A question under way. Its places in the resolver are free again when its answer was taken.
pub(crate) struct Question {
    open: Vec<QueryHandle>,
    found: Vec<IpAddr>,
}

/// Which addresses to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// Those of IPv4.
    V4,
    /// Both, those of IPv4 first: the own IPv6 addresses do not reach the internet (RFC 6724, 2.1).
    V4First,
    /// Both, those of IPv6 first.
    V6First,
}

/// Why a name gives no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResolveError {
    /// No server is known to ask.
    NoServer,
    /// The name breaks the rules for names.
    BadName,
    /// The servers know no address for it, or did not answer.
    NotFound,
}

impl Dns {
    pub(crate) fn new() -> Self {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(Socket::new(&[], Vec::new()));
        Self { sockets, handle, has_servers: false, open: 0, deadline: None, waiters: Waiters::new() }
    }

    /// Sets the servers to ask; of more than three the first three.
    pub(crate) fn set_servers(&mut self, servers: impl Iterator<Item = IpAddr>) {
        let servers: Vec<IpAddress> = servers.map(IpAddress::from).collect();
        self.has_servers = !servers.is_empty();
        self.socket().update_servers(&servers);
    }

    /// Tells whether an answer may come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.open > 0
    }

    /// Starts to ask for the addresses of `name`.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        link: &mut Link,
        name: &str,
        wanted: Wanted,
    ) -> Result<Question, ResolveError> {
        if !self.has_servers {
            return Err(ResolveError::NoServer);
        }
        let kinds: &[DnsQueryType] = match wanted {
            Wanted::V4 => &[DnsQueryType::A],
            Wanted::V4First => &[DnsQueryType::A, DnsQueryType::Aaaa],
            Wanted::V6First => &[DnsQueryType::Aaaa, DnsQueryType::A],
        };
        let mut question = Question { open: Vec::new(), found: Vec::new() };
        for kind in kinds {
            let open =
                self.socket().start_query(link.context(), name, *kind).map_err(|_| ResolveError::BadName)?;
            question.open.push(open);
            self.open += 1;
        }
        self.deadline = Some(now);
        Ok(question)
    }

    /// Takes the answer, or gives the question back if there is none yet.
    pub(crate) fn answer(
        &mut self,
        mut question: Question,
    ) -> Result<Result<Vec<IpAddr>, ResolveError>, Question> {
        while let Some(&asked) = question.open.first() {
            match self.socket().get_query_result(asked) {
                Err(GetQueryResultError::Pending) => return Err(question),
                Err(GetQueryResultError::Failed) => {}
                Ok(addresses) => question.found.extend(addresses.iter().copied().map(IpAddr::from)),
            }
            question.open.remove(0);
            self.open -= 1;
        }
        Ok(if question.found.is_empty() { Err(ResolveError::NotFound) } else { Ok(question.found) })
    }

    /// Sends what is due.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        link: &mut Link,
        transmitter: &mut dyn Outlet,
        woken: &mut Vec<Token>,
    ) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        for _ in 0..BURST {
            if link.send_datagram(now, &mut self.sockets, transmitter, Route::Wire) != Egress::Sent {
                break;
            }
        }
        let next = link.deadline(now, &self.sockets);
        self.deadline = next.map(|next| next.max(now + Duration::from_millis(1)));
        self.waiters.wake(Readiness::READABLE, woken);
    }

    /// Makes the next [`Self::poll`] look again at once.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.deadline = Some(now);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.open > 0)
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("open", &self.open).finish_non_exhaustive()
    }
}

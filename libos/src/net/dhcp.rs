//! The address by DHCP (RFC 2131).

use super::config::Settings;
use super::device::Outlet;
use super::link::{Egress, Link, Route};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4::{Event, RetryConfig, Socket};
use smoltcp::time::{Duration, Instant};

/// The client's port.
pub(crate) const CLIENT_PORT: u16 = 68;
/// A lost packet must not cost a start ten seconds.
const DISCOVER_TIMEOUT: Duration = Duration::from_millis(500);
const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);

/// The client.
pub(crate) struct Dhcp {
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    deadline: Instant,
}

/// What the client has learnt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// There are new settings.
    Configured(Settings),
    /// The lease is over.
    Lost,
}

impl Dhcp {
    /// Starts to ask for an address.
    pub(crate) fn new(now: Instant) -> Self {
        let mut socket = Socket::new();
        let mut retry = RetryConfig::default();
        retry.discover_timeout = DISCOVER_TIMEOUT;
        retry.initial_request_timeout = REQUEST_TIMEOUT;
        socket.set_retry_config(retry);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self { sockets, handle, deadline: now }
    }

    /// Sends what is due and returns what has changed.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        link: &mut Link,
        transmitter: &mut dyn Outlet,
    ) -> Option<Change> {
        if now >= self.deadline {
            let _: Egress = link.send_datagram(now, &mut self.sockets, transmitter, Route::Wire);
            let next = link.deadline(now, &self.sockets);
            self.deadline = next.unwrap_or(now + DISCOVER_TIMEOUT).max(now + Duration::from_millis(1));
        }
        self.take_change()
    }

    /// Makes the next [`Self::poll`] look again at once.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.deadline = now;
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    fn take_change(&mut self) -> Option<Change> {
        match self.sockets.get_mut::<Socket<'_>>(self.handle).poll()? {
            Event::Deconfigured => Some(Change::Lost),
            Event::Configured(config) => Some(Change::Configured(Settings {
                address: config.address,
                gateway: config.router,
                servers: config.dns_servers.iter().copied().map(IpAddr::V4).collect(),
            })),
        }
    }
}

impl fmt::Debug for Dhcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dhcp").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

//! What the server counts.

use crate::protocol::Service;
use libos::format;
use libos::string::String;
use libos::sync::atomic::{AtomicU64, Ordering};

/// The figures of this server.
pub(super) static FIGURES: Figures = Figures {
    connections: AtomicU64::new(0),
    open: AtomicU64::new(0),
    datagrams: AtomicU64::new(0),
    datagram_bytes: AtomicU64::new(0),
};

/// Counters.
#[derive(Debug)]
pub(super) struct Figures {
    connections: AtomicU64,
    open: AtomicU64,
    datagrams: AtomicU64,
    datagram_bytes: AtomicU64,
}

/// An open connection of a service that is measured; counts as such until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Service);

impl Figures {
    /// Counts a connection that was accepted.
    pub(super) fn count_connection(&self, service: Service) {
        if service != Service::Figures {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection that stays open.
    pub(super) fn open(&self, service: Service) -> Open {
        if service != Service::Figures {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        Open(service)
    }

    /// Counts a datagram.
    pub(super) fn count_datagram(&self, bytes: usize) {
        self.datagrams.fetch_add(1, Ordering::Relaxed);
        self.datagram_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns them as a line.
    pub(super) fn line(&self) -> String {
        format!(
            "connections={} open={} datagrams={} datagram_bytes={}\n",
            self.connections.load(Ordering::Relaxed),
            self.open.load(Ordering::Relaxed),
            self.datagrams.load(Ordering::Relaxed),
            self.datagram_bytes.load(Ordering::Relaxed),
        )
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0 != Service::Figures {
            FIGURES.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

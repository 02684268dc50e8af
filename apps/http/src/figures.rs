//! What `/stats` shows.

use http_protocol::Report;
use libos::sync::atomic::{AtomicU64, Ordering};
use libos::time::Instant;
use libos::vec::Vec;
use libos::{format, net, system};

/// The figures of this server.
pub(crate) static FIGURES: Figures =
    Figures { requests: AtomicU64::new(0), connections: AtomicU64::new(0), open: AtomicU64::new(0) };

/// Counters.
#[derive(Debug)]
pub(crate) struct Figures {
    requests: AtomicU64,
    connections: AtomicU64,
    open: AtomicU64,
}

/// One open connection; counts as such until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(());

impl Figures {
    /// Counts a connection.
    pub(crate) fn open_connection(&self) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(())
    }

    pub(crate) fn open_connections(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Counts answered requests.
    pub(crate) fn add_requests(&self, count: u64) {
        self.requests.fetch_add(count, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        FIGURES.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Report for Figures {
    fn append(&self, output: &mut Vec<u8>) {
        // The machine's clock starts with it.
        let uptime = u64::try_from(Instant::now().since_boot().as_millis()).unwrap_or(u64::MAX);
        let card = net::statistics();
        let text = format!(
            "{{\"uptime_ms\":{uptime},\"requests\":{},\"connections\":{},\"open_connections\":{},\"threads\":{},\
             \"memory_bytes\":{},\"heap_bytes\":{},\"frames_in\":{},\"frames_out\":{},\"doorbells\":{},\
             \"interrupts\":{}}}\n",
            self.requests.load(Ordering::Relaxed),
            self.connections.load(Ordering::Relaxed),
            self.open.load(Ordering::Relaxed),
            system::threads(),
            system::memory_bytes(),
            system::heap_bytes(),
            card.frames_in,
            card.frames_out,
            card.doorbells,
            card.interrupts,
        );
        output.extend_from_slice(text.as_bytes());
    }
}

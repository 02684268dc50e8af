//! What can be asked of a connection and set about it.

use super::{TcpStream, set_timeout, timeout};
use crate::io::{Error, ErrorKind, Result};
use crate::net::runtime;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// How often a peer may be asked whether it is still there, at most and at least (Linux has the same longest time).
const LEAST_INTERVAL: Duration = Duration::from_millis(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(32_767);

/// Which side of a connection is shut down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shutdown {
    /// Reading gives the end of the stream from now on.
    Read,
    /// The peer reads the end of the stream after all that was written.
    Write,
    /// Both.
    Both,
}

impl TcpStream {
    /// Shuts one side down, or both.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        if how != Shutdown::Write {
            self.inner.is_read_closed.store(true, Ordering::Relaxed);
        }
        if how != Shutdown::Read {
            runtime::with(|shard, _| shard.stack().close_sending(self.inner.id))??;
        }
        Ok(())
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    ///
    /// None.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        Ok(self.inner.peer)
    }

    /// Returns the own address.
    ///
    /// # Errors
    ///
    /// None.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.inner.local)
    }

    /// Returns another handle to the connection.
    ///
    /// # Errors
    ///
    /// None.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(self.clone())
    }

    /// Sets whether little pieces are sent at once, not gathered while others are under way (Nagle's algorithm).
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn set_nodelay(&self, is_nodelay: bool) -> Result<()> {
        self.with(|connection| connection.socket_mut().set_nagle_enabled(!is_nodelay))
    }

    /// Tells whether little pieces are sent at once.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn nodelay(&self) -> Result<bool> {
        self.with(|connection| !connection.socket().nagle_enabled())
    }

    /// Sets whether a peer that is silent is asked whether it is still there: at once, and whenever it is silent for
    /// `interval`. If it does not answer three times, reading and writing fail with
    /// [`ErrorKind::TimedOut`]; if it has forgotten the connection, with
    /// [`ErrorKind::ConnectionReset`]. At first nobody is asked.
    ///
    /// # Errors
    ///
    /// The interval is less than a millisecond, or the connection is gone.
    pub fn set_keepalive(&self, interval: Option<Duration>) -> Result<()> {
        if interval.is_some_and(|interval| interval < LEAST_INTERVAL) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "an interval below a millisecond; ask less often",
            ));
        }
        let interval = interval.map(|interval| interval.min(LONGEST_INTERVAL).into());
        Ok(runtime::with(|shard, clock| shard.stack().set_keep_alive(clock.now(), self.inner.id, interval))??)
    }

    /// Returns after how long a silent peer is asked whether it is still there.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn keepalive(&self) -> Result<Option<Duration>> {
        self.with(|connection| connection.socket().keep_alive().map(Duration::from))
    }

    /// Limits the time that one read waits.
    ///
    /// # Errors
    ///
    /// The limit is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        set_timeout(&self.inner.read_timeout_ns, timeout)
    }

    /// Limits the time that one write waits.
    ///
    /// # Errors
    ///
    /// The limit is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        set_timeout(&self.inner.write_timeout_ns, timeout)
    }

    /// Returns the time limit of a read.
    ///
    /// # Errors
    ///
    /// None.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        Ok(timeout(&self.inner.read_timeout_ns))
    }

    /// Returns the time limit of a write.
    ///
    /// # Errors
    ///
    /// None.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        Ok(timeout(&self.inner.write_timeout_ns))
    }

    /// Tells whether reading gives something without waiting: bytes, the end of the stream, or an error. What std cannot
    /// tell; who waits in a poll set with [`Mode::Edge`](crate::poll::Mode::Edge) wants to know.
    #[must_use]
    pub fn has_input(&self) -> bool {
        self.inner.is_read_closed.load(Ordering::Relaxed)
            || self.with(|connection| connection.has_input()).unwrap_or(true)
    }

    /// Sets whether reading and writing return [`ErrorKind::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> Result<()> {
        self.inner.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
        Ok(())
    }
}

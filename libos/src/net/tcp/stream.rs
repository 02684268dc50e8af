//! A connection: reading, writing, connecting.

use crate::io::{ErrorKind, Read, Result, Write};
use crate::net::address::{ToSocketAddrs, each};
use crate::net::connection::{Connection, ConnectionId, Received};
use crate::net::error::Error as NetError;
use crate::net::ports::shown_like;
use crate::net::runtime::{self, Attempt, Patience};
use crate::net::stack::Progress;
use crate::readiness::Readiness;
use crate::task::NEVER;
use crate::thread::deadline_after;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

/// How long connecting takes at most if the program sets no limit.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// A connection. When the last clone is dropped it is closed; what was written is still sent.
#[derive(Clone, Debug)]
pub struct TcpStream {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) read_timeout_ns: AtomicU64,
    pub(super) write_timeout_ns: AtomicU64,
    pub(super) is_nonblocking: AtomicBool,
    pub(super) is_read_closed: AtomicBool,
}

impl TcpStream {
    /// Connects to an address, or to the first that answers of several.
    ///
    /// # Errors
    ///
    /// The peer refuses or does not answer, there is no way to it, or there is no network.
    pub fn connect<A: ToSocketAddrs>(address: A) -> Result<Self> {
        each(address, |address| Self::connect_within(address, CONNECT_PATIENCE))
    }

    /// Connects to an address, for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Self::connect`]; [`ErrorKind::TimedOut`] if it takes longer.
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> Result<Self> {
        each(*address, |address| Self::connect_within(address, timeout))
    }

    /// Reads in place: passes received bytes, as many as lie in one piece, to `read`, which returns how many it has
    /// taken and a result. Waits for bytes; at the end of the stream the piece is empty.
    ///
    /// # Errors
    ///
    /// The peer broke the connection off, or the time limit is over.
    ///
    /// # Panics
    ///
    /// If `read` uses the network itself.
    pub fn read_with<R>(&self, read: impl FnOnce(&[u8]) -> (usize, R)) -> Result<R> {
        let mut read = Some(read);
        self.wait_to(Readiness::READABLE, &self.inner.read_timeout_ns, |connection| {
            let mut act = |piece: &[u8]| {
                let read = read.take().expect("it is called once");
                let (count, result) = read(piece);
                (count.min(piece.len()), result)
            };
            if self.inner.is_read_closed.load(Ordering::Relaxed) {
                return Ok(Some(act(&[]).1));
            }
            match connection.receive(|piece| act(piece))? {
                Received::Bytes(result) => Ok(Some(result)),
                Received::End => Ok(Some(act(&[]).1)),
                Received::Nothing => Ok(None),
            }
        })
    }

    /// Writes in place: passes free buffer space, as much as lies in one piece, to `write`, which returns how much of
    /// it it has filled and a result. Waits for space. It is sent when the thread next waits or yields.
    ///
    /// # Errors
    ///
    /// The connection is closed or broken, or the time limit is over.
    ///
    /// # Panics
    ///
    /// If `write` uses the network itself.
    pub fn write_with<R>(&self, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> Result<R> {
        let mut write = Some(write);
        self.wait_to(Readiness::WRITABLE, &self.inner.write_timeout_ns, |connection| {
            connection.send(|space| {
                let write = write.take().expect("it is called once");
                let length = space.len();
                let (count, result) = write(space);
                (count.min(length), result)
            })
        })
    }

    /// Reads what is here without taking it. Waits as [`Read::read`] does.
    ///
    /// # Errors
    ///
    /// As [`Read::read`].
    pub fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        self.read_with(|piece| {
            let count = piece.len().min(buffer.len());
            buffer[..count].copy_from_slice(&piece[..count]);
            (0, count)
        })
    }

    pub(super) fn new(id: ConnectionId, peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            inner: Arc::new(Inner {
                id,
                peer,
                local,
                read_timeout_ns: AtomicU64::new(NEVER),
                write_timeout_ns: AtomicU64::new(NEVER),
                is_nonblocking: AtomicBool::new(false),
                is_read_closed: AtomicBool::new(false),
            }),
        }
    }

    fn connect_within(address: SocketAddr, timeout: Duration) -> Result<Self> {
        runtime::wait_for_address(address.ip())?;
        let (id, local) = runtime::with(|shard, _| {
            let id = shard.stack().connect(address)?;
            let tuple = shard.stack().with_connection(id, |connection| connection.tuple)?;
            Ok::<_, NetError>((id, tuple.own_end()))
        })??;
        // Closes the connection if it does not come about.
        let stream = Self::new(id, address, shown_like(address, local));
        let connected = runtime::wait_for(deadline_after(timeout), |shard, _, token| {
            let stack = shard.stack();
            match stack.connected(id) {
                Ok(Progress::Waiting) => {
                    stack.wait_for(id, Readiness::all(), token);
                    Attempt::Wait
                }
                Ok(Progress::Done) => Attempt::Done(Ok(())),
                Err(error) => Attempt::Done(Err(error)),
            }
        })?;
        connected.unwrap_or(Err(NetError::TimedOut))?;
        Ok(stream)
    }

    pub(in crate::net) fn id(&self) -> ConnectionId {
        self.inner.id
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&mut Connection) -> R) -> Result<R> {
        Ok(runtime::with(|shard, _| shard.stack().with_connection(self.inner.id, act))??)
    }

    /// Calls `attempt` until it gives something, and waits for `condition` in between.
    fn wait_to<R>(
        &self,
        condition: Readiness,
        timeout_ns: &AtomicU64,
        mut attempt: impl FnMut(&mut Connection) -> core::result::Result<Option<R>, NetError>,
    ) -> Result<R> {
        let id = self.inner.id;
        let is_nonblocking = self.inner.is_nonblocking.load(Ordering::Relaxed);
        let patience = match timeout_ns.load(Ordering::Relaxed) {
            _ if is_nonblocking => Patience::Until(0),
            limit_ns => Patience::For(limit_ns),
        };
        let outcome = runtime::wait(patience, |shard, _, token| {
            let stack = shard.stack();
            match stack.use_connection(id, &mut attempt) {
                Ok(Some(result)) => Attempt::Done(Ok(result)),
                Ok(None) => {
                    stack.wait_for(id, condition, token);
                    Attempt::Wait
                }
                Err(error) => Attempt::Done(Err(error)),
            }
        })?;
        match outcome {
            Some(result) => Ok(result?),
            None if is_nonblocking => Err(ErrorKind::WouldBlock.into()),
            None => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The network was there when the connection was made, so there is nothing to fail.
        let _ = runtime::with(|shard, _| shard.stack().abandon(self.id));
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.read_with(|piece| {
            let count = piece.len().min(buffer.len());
            buffer[..count].copy_from_slice(&piece[..count]);
            (count, count)
        })
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.write_with(|space| {
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            (count, count)
        })
    }

    /// Sends at once what was written, as far as the peer takes it.
    fn flush(&mut self) -> Result<()> {
        runtime::push();
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        (&*self).flush()
    }
}

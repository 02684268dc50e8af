//! TCP for programs, shaped like `std::net`.

use super::address::{ToSocketAddrs, each};
use super::connection::{Connection, ConnectionId, Received};
use super::error::Error as NetError;
use super::listener::ListenerId;
use super::readiness::Readiness;
use super::runtime::{self, Attempt};
use super::stack::{Progress, local_of};
use crate::io::{Error, ErrorKind, Read, Result, Write};
use crate::task::NEVER;
use crate::thread::deadline_after;
use alloc::sync::Arc;
use core::net::{SocketAddr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

/// Handshakes under way, and connections that wait, at one listener.
const BACKLOG: usize = 128;
/// How long connecting takes at most if the program sets no limit.
const CONNECT_PATIENCE: Duration = Duration::from_secs(60);

/// A listening socket.
#[derive(Debug)]
pub struct TcpListener {
    id: ListenerId,
    address: SocketAddrV4,
    is_nonblocking: AtomicBool,
}

/// The connections that come to a [`TcpListener`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a TcpListener);

/// A connection. When the last clone is dropped it is closed; what was written is still sent.
#[derive(Clone, Debug)]
pub struct TcpStream {
    inner: Arc<Inner>,
}

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

#[derive(Debug)]
struct Inner {
    id: ConnectionId,
    peer: SocketAddrV4,
    local: SocketAddrV4,
    read_timeout_ns: AtomicU64,
    write_timeout_ns: AtomicU64,
    is_nonblocking: AtomicBool,
    is_read_closed: AtomicBool,
}

impl TcpListener {
    /// Listens at an address. The first socket of the guest starts the network and waits for an address.
    ///
    /// # Errors
    ///
    /// The port is in use, the address is not one of the guest's, or there is no network.
    pub fn bind<A: ToSocketAddrs>(address: A) -> Result<Self> {
        each(address, |address| {
            if !address.ip().is_loopback() {
                runtime::address()?;
            }
            let (id, port) = runtime::with(|shard, _| shard.stack().listen(address, BACKLOG))??;
            let address = SocketAddrV4::new(*address.ip(), port);
            Ok(Self { id, address, is_nonblocking: AtomicBool::new(false) })
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if the listener shall not wait and no connection is here.
    pub fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        let deadline_ns = if self.is_nonblocking.load(Ordering::Relaxed) { 0 } else { NEVER };
        let accepted = runtime::wait_for(deadline_ns, |shard, _, token| {
            let stack = shard.stack();
            match stack.accept(self.id) {
                Ok(None) => {
                    stack.wait_for_connection(self.id, token);
                    Attempt::Wait
                }
                Ok(Some((id, peer))) => {
                    Attempt::Done(local(stack.with_connection(id, |connection| connection.tuple)).map(|local| (id, peer, local)))
                }
                Err(error) => Attempt::Done(Err(error)),
            }
        })?;
        let (id, peer, local) = accepted.ok_or(ErrorKind::WouldBlock)??;
        Ok((TcpStream::new(id, peer, local), SocketAddr::V4(peer)))
    }

    /// Returns the connections as they come, without an end.
    #[must_use]
    pub const fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }

    /// Returns the address it listens at.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn local_addr(&self) -> Result<SocketAddr> {
        Ok(SocketAddr::V4(self.address))
    }

    /// Sets whether [`Self::accept`] returns [`ErrorKind::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> Result<()> {
        self.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        // The network was there when the listener was made, so there is nothing to fail.
        let _ = runtime::with(|shard, _| shard.stack().stop_listening(self.id));
    }
}

impl Iterator for Incoming<'_> {
    type Item = Result<TcpStream>;

    fn next(&mut self) -> Option<Result<TcpStream>> {
        Some(self.0.accept().map(|(stream, _)| stream))
    }
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
        Ok(SocketAddr::V4(self.inner.peer))
    }

    /// Returns the own address.
    ///
    /// # Errors
    ///
    /// None.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(SocketAddr::V4(self.inner.local))
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

    /// Sets whether reading and writing return [`ErrorKind::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> Result<()> {
        self.inner.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
        Ok(())
    }

    fn new(id: ConnectionId, peer: SocketAddrV4, local: SocketAddrV4) -> Self {
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

    fn connect_within(address: SocketAddrV4, timeout: Duration) -> Result<Self> {
        if !address.ip().is_loopback() {
            runtime::address()?;
        }
        let (id, local) = runtime::with(|shard, _| {
            let id = shard.stack().connect(address)?;
            Ok::<_, NetError>((id, local(shard.stack().with_connection(id, |connection| connection.tuple))?))
        })??;
        // Closes the connection if it does not come about.
        let stream = Self::new(id, address, local);
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

    fn with<R>(&self, act: impl FnOnce(&mut Connection) -> R) -> Result<R> {
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
        let deadline_ns = match timeout_ns.load(Ordering::Relaxed) {
            _ if is_nonblocking => 0,
            NEVER => NEVER,
            limit => deadline_after(Duration::from_nanos(limit)),
        };
        let outcome = runtime::wait_for(deadline_ns, |shard, _, token| {
            let stack = shard.stack();
            match stack.with_connection(id, &mut attempt) {
                Ok(Ok(Some(result))) => {
                    stack.touch(id);
                    Attempt::Done(Ok(result))
                }
                Ok(Ok(None)) => {
                    stack.wait_for(id, condition, token);
                    Attempt::Wait
                }
                Ok(Err(error)) | Err(error) => Attempt::Done(Err(error)),
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

/// Stores a time limit; [`NEVER`] stands for none.
pub(super) fn set_timeout(store: &AtomicU64, timeout: Option<Duration>) -> Result<()> {
    let limit = match timeout {
        None => NEVER,
        Some(Duration::ZERO) => {
            return Err(Error::new(ErrorKind::InvalidInput, "a time limit of zero; use set_nonblocking"));
        }
        Some(limit) => u64::try_from(limit.as_nanos()).unwrap_or(NEVER),
    };
    store.store(limit, Ordering::Relaxed);
    Ok(())
}

/// Returns a stored time limit.
pub(super) fn timeout(store: &AtomicU64) -> Option<Duration> {
    match store.load(Ordering::Relaxed) {
        NEVER => None,
        limit => Some(Duration::from_nanos(limit)),
    }
}

fn local(tuple: core::result::Result<super::frame::Tuple, NetError>) -> core::result::Result<SocketAddrV4, NetError> {
    tuple.map(local_of)
}

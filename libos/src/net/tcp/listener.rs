//! A listening socket.

use super::TcpStream;
use crate::io::{ErrorKind, Result};
use crate::net::address::{ToSocketAddrs, each};
use crate::net::listener::ListenerId;
use crate::net::ports::shown_like;
use crate::net::runtime::{self, Attempt};
use crate::task::NEVER;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};

/// Handshakes under way, and connections that wait, at one listener, if memory allows so many.
const BACKLOG: usize = 1024;

/// A listening socket.
#[derive(Debug)]
pub struct TcpListener {
    id: ListenerId,
    address: SocketAddr,
    is_nonblocking: AtomicBool,
}

/// The connections that come to a [`TcpListener`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a TcpListener);
impl TcpListener {
    /// Listens at an address. The first socket of the guest starts the network and waits for an address. At `[::]` it
    /// takes IPv4 as well, whose addresses it shows as `::ffff:A.B.C.D`.
    ///
    /// # Errors
    ///
    /// The port is in use, the address is not one of the guest's, or there is no network.
    pub fn bind<A: ToSocketAddrs>(address: A) -> Result<Self> {
        each(address, |address| {
            runtime::wait_for_address(address.ip())?;
            let (id, port) = runtime::with(|shard, _| shard.stack().listen(address, BACKLOG))??;
            let address = SocketAddr::new(address.ip(), port);
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
                Ok(Some(accepted)) => Attempt::Done(Ok(accepted)),
                Err(error) => Attempt::Done(Err(error)),
            }
        })?;
        let (id, tuple) = accepted.ok_or(ErrorKind::WouldBlock)??;
        let peer = shown_like(self.address, tuple.peer_end());
        Ok((TcpStream::new(id, peer, shown_like(self.address, tuple.own_end())), peer))
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
        Ok(self.address)
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

impl TcpListener {
    pub(in crate::net) const fn id(&self) -> ListenerId {
        self.id
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

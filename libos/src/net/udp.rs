//! UDP for programs, shaped like `std::net`.

use super::address::{ToSocketAddrs, each};
use super::datagram::{DatagramId, Outcome};
use super::error::Error as NetError;
use super::ports::{canonical, shown_like};
use super::runtime::{self, Attempt, Patience};
use super::tcp::{set_timeout, timeout};
use crate::io::{Error, ErrorKind, Result};
use crate::task::{self, NEVER};
use crate::thread::deadline_after;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

/// How long to wait for room in the device.
const FULL_DELAY: Duration = Duration::from_micros(200);

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    id: DatagramId,
    address: SocketAddr,
    read_timeout_ns: AtomicU64,
    is_nonblocking: AtomicBool,
}

impl UdpSocket {
    /// Binds a socket. The first socket of the guest starts the network and waits for an address. At `[::]` it takes
    /// IPv4 as well, whose addresses it shows as `::ffff:A.B.C.D`.
    ///
    /// # Errors
    ///
    /// The port is in use, the address is not one of the guest's, or there is no network.
    pub fn bind<A: ToSocketAddrs>(address: A) -> Result<Self> {
        each(address, |address| {
            runtime::wait_for_address(address.ip())?;
            let capacity = runtime::datagram_capacity();
            let (id, port) = runtime::with(|shard, _| shard.stack().bind(address, capacity))??;
            Ok(Self {
                id,
                address: SocketAddr::new(address.ip(), port),
                read_timeout_ns: AtomicU64::new(NEVER),
                is_nonblocking: AtomicBool::new(false),
            })
        })
    }

    /// Sends a datagram to an address, the first one of several. Waits only for room in the device.
    ///
    /// # Errors
    ///
    /// The datagram has more than 65 507 bytes (65 527 over IPv6), or there is no way to the address.
    pub fn send_to<A: ToSocketAddrs>(&self, bytes: &[u8], address: A) -> Result<usize> {
        each(address, |address| self.send_datagram(bytes, address))
    }

    /// Waits for a datagram; what does not fit the buffer is lost. Returns its length and where it comes from.
    ///
    /// # Errors
    ///
    /// The time limit is over, or none is here and the socket shall not wait.
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        self.receive(|stack, id| {
            stack.with_datagram(id, |datagram| datagram.receive(|bytes, from| (copy(bytes, buffer), from)))
        })
    }

    /// As [`Self::recv_from`], but leaves the datagram where it is.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`].
    pub fn peek_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        self.receive(|stack, id| {
            stack.with_datagram(id, |datagram| datagram.peek(|bytes, from| (copy(bytes, buffer), from)))
        })
    }

    /// Sets the one peer that [`Self::send`] sends to and datagrams are received from.
    ///
    /// # Errors
    ///
    /// No address was given.
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> Result<()> {
        each(address, |address| {
            Ok(runtime::with(|shard, _| {
                shard.stack().with_datagram(self.id, |datagram| datagram.peer = Some(canonical(address)))
            })??)
        })
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// As [`Self::send_to`]; [`ErrorKind::ConnectionRefused`] and the like if ICMP told so of an earlier one; [`ErrorKind::NotConnected`] if no peer is set.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        self.send_datagram(bytes, self.peer()?)
    }

    /// Waits for a datagram of the peer.
    ///
    /// # Errors
    ///
    /// As [`Self::recv_from`]; [`ErrorKind::NotConnected`] if no peer is set; [`ErrorKind::ConnectionRefused`] and the
    /// like if ICMP told so of what was sent to it.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.peer()?;
        Ok(self.recv_from(buffer)?.0)
    }

    /// Returns the own address.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.address)
    }

    /// Returns the peer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotConnected`] if none is set.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        Ok(shown_like(self.address, self.peer()?))
    }

    /// Limits the time that receiving waits.
    ///
    /// # Errors
    ///
    /// The limit is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        set_timeout(&self.read_timeout_ns, timeout)
    }

    /// Returns the time limit of receiving.
    ///
    /// # Errors
    ///
    /// None.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        Ok(timeout(&self.read_timeout_ns))
    }

    /// Sets whether receiving returns [`ErrorKind::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_nonblocking(&self, is_nonblocking: bool) -> Result<()> {
        self.is_nonblocking.store(is_nonblocking, Ordering::Relaxed);
        Ok(())
    }

    pub(super) const fn id(&self) -> DatagramId {
        self.id
    }

    fn peer(&self) -> Result<SocketAddr> {
        let peer = runtime::with(|shard, _| shard.stack().with_datagram(self.id, |datagram| datagram.peer))??;
        Ok(peer.ok_or(NetError::NotConnected)?)
    }

    fn send_datagram(&self, bytes: &[u8], address: SocketAddr) -> Result<usize> {
        loop {
            let outcome = runtime::with(|shard, clock| {
                let (stack, transmitter) = shard.sending().ok_or(NetError::DeviceLost)?;
                stack.send_datagram(clock.now(), self.id, address, bytes, transmitter)
            })??;
            match outcome {
                Outcome::Sent => return Ok(bytes.len()),
                Outcome::Full => task::block_until(deadline_after(FULL_DELAY)),
            }
        }
    }

    fn receive(
        &self,
        mut take: impl FnMut(
            &mut super::stack::Stack,
            DatagramId,
        ) -> core::result::Result<Option<(usize, SocketAddr)>, NetError>,
    ) -> Result<(usize, SocketAddr)> {
        let is_nonblocking = self.is_nonblocking.load(Ordering::Relaxed);
        let patience = match self.read_timeout_ns.load(Ordering::Relaxed) {
            _ if is_nonblocking => Patience::Until(0),
            limit_ns => Patience::For(limit_ns),
        };
        let received = runtime::wait(patience, |shard, _, token| {
            match shard.stack().take_datagram_error(self.id).and_then(|()| take(shard.stack(), self.id)) {
                Ok(Some(received)) => Attempt::Done(Ok(received)),
                Ok(None) => {
                    shard.stack().wait_for_datagram(self.id, token);
                    Attempt::Wait
                }
                Err(error) => Attempt::Done(Err(error)),
            }
        })?;
        match received {
            Some(received) => {
                let (length, from) = received?;
                Ok((length, shown_like(self.address, from)))
            }
            None if is_nonblocking => Err(ErrorKind::WouldBlock.into()),
            None => Err(Error::from(ErrorKind::TimedOut)),
        }
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        // The network was there when the socket was made, so there is nothing to fail.
        let _ = runtime::with(|shard, _| shard.stack().unbind(self.id));
    }
}

fn copy(bytes: &[u8], buffer: &mut [u8]) -> usize {
    let count = bytes.len().min(buffer.len());
    buffer[..count].copy_from_slice(&bytes[..count]);
    count
}

//! UDP: a receive queue for each socket, and one sender for all of them.
//!
//! A datagram is handed to the device the moment it is sent, so sockets need no send buffer. What cannot go because
//! its next hop's Ethernet address is still being asked for waits here, apart from the others, and is forgotten
//! after a while: one dead peer does not hold up the rest.

use super::device::{Outlet, Transmitter};
use super::error::Error;
use super::frame::{IPV4_HEADER, IPV6_HEADER, Tuple};
use super::link::{Egress, Link, Route};
use super::ports::Bound;
use crate::readiness::Waiters;
use crate::slots::Id;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::num::NonZeroU16;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket, UdpMetadata};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;
/// Datagrams that a socket holds until they are read.
const RECEIVE_DATAGRAMS: usize = 64;
/// Most bytes of a datagram with its header, over IPv6, and over IPv4, where the field for the length counts that of
/// the packet as well.
const LONGEST: usize = 65_535;
const LONGEST_V4: usize = LONGEST - IPV4_HEADER;
/// Says to the interface that somebody else cuts what is too long: without a wish nothing longer than a packet leaves.
const CUT: Option<NonZeroU16> = Some(NonZeroU16::MAX);
/// Most bytes of datagrams that wait for an Ethernet address.
const PENDING_BYTES: usize = 256 << 10;
/// Datagrams that wait for an Ethernet address.
const PENDING_DATAGRAMS: usize = 64;
/// How long they wait.
const PENDING_PATIENCE: Duration = Duration::from_secs(3);

/// A UDP socket.
pub(crate) struct Datagram {
    pub(crate) sockets: SocketSet<'static>,
    handle: SocketHandle,
    pub(crate) bound: Bound,
    pub(crate) port: u16,
    /// The only peer it talks to.
    pub(crate) peer: Option<SocketAddr>,
    /// What ICMP told of the last datagrams to it; told to the program once.
    pub(crate) error: Option<Error>,
    pub(crate) waiters: Waiters,
}

/// The socket that all datagrams leave by.
pub(crate) struct Sender {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    largest: usize,
    pending: VecDeque<Pending>,
    /// Sends what waits, from when on something has waited: nothing else names it, so that programs that send no
    /// datagrams do not link it.
    resend: Option<Resend>,
    cut: Option<NonZeroU16>,
}

type Resend = fn(&mut Sender, Instant, &mut Link, &mut dyn Outlet);

#[derive(Debug)]
struct Pending {
    source: (Option<IpAddr>, u16),
    destination: SocketAddr,
    payload: Vec<u8>,
    expires: Instant,
}

impl Datagram {
    /// Makes a socket that holds up to `capacity` bytes.
    pub(crate) fn new(bound: Bound, port: u16, capacity: usize) -> Self {
        let received = PacketBuffer::new(vec![PacketMetadata::EMPTY; RECEIVE_DATAGRAMS], vec![0; capacity]);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(Socket::new(received, no_buffer()));
        let mut datagram =
            Self { sockets, handle, bound, port, peer: None, error: None, waiters: Waiters::new() };
        datagram
            .socket_mut()
            .bind(endpoint(bound.only(), port))
            .expect("a new socket takes any port, and the tables give none that is 0");
        datagram
    }

    /// Tells whether a datagram from `source` to `destination` is for this socket.
    pub(crate) fn takes(&self, source: SocketAddr, destination: IpAddr) -> bool {
        let is_ours = self.bound.takes(destination) || is_group(destination);
        is_ours && self.peer.is_none_or(|peer| peer == source)
    }

    /// Tells whether receiving would not wait.
    pub(crate) fn can_receive(&self) -> bool {
        self.error.is_some() || self.sockets.get::<Socket<'_>>(self.handle).can_recv()
    }

    /// Passes the oldest datagram and where it comes from to `read`; `None` if there is none.
    pub(crate) fn receive<R>(&mut self, read: impl FnOnce(&[u8], SocketAddr) -> R) -> Option<R> {
        let (payload, metadata) = self.socket_mut().recv().ok()?;
        Some(read(payload, SocketAddr::from(metadata.endpoint)))
    }

    /// As [`Self::receive`], but leaves the datagram where it is.
    pub(crate) fn peek<R>(&mut self, read: impl FnOnce(&[u8], SocketAddr) -> R) -> Option<R> {
        let (payload, metadata) = self.socket_mut().peek().ok()?;
        Some(read(payload, SocketAddr::from(metadata.endpoint)))
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

impl Sender {
    /// Makes the sender for packets of at most `mtu` bytes.
    pub(crate) fn new(mtu: usize) -> Self {
        let largest = mtu.saturating_sub(IPV4_HEADER + UDP_HEADER);
        let outgoing = PacketBuffer::new(vec![PacketMetadata::EMPTY], vec![0; largest]);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(Socket::new(no_buffer(), outgoing));
        Self { sockets, handle, largest, pending: VecDeque::new(), resend: None, cut: None }
    }

    /// Sends a datagram at once, without waiting.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        source: (Option<IpAddr>, u16),
        destination: SocketAddr,
        payload: &[u8],
        link: &mut Link,
        transmitter: &mut impl Transmitter,
    ) -> Result<Outcome, Error> {
        let longest = if destination.is_ipv4() { LONGEST_V4 } else { LONGEST };
        if payload.len() > longest - UDP_HEADER {
            return Err(Error::TooLong);
        }
        // What waits in pieces for room is not overtaken.
        if payload.len() <= self.largest
            && !link.has_pieces()
            && let Some(direct) = send_directly(now, source, destination, payload, link, transmitter)
        {
            return Ok(direct);
        }
        let route = link.route(destination.ip()).ok_or(Error::Unreachable)?;
        match self.emit(now, source, destination, payload, link, transmitter, route)? {
            Egress::Sent | Egress::Nothing => Ok(Outcome::Sent),
            Egress::Full => Ok(Outcome::Full),
            Egress::Unresolved => {
                self.keep(source, destination, payload, now + PENDING_PATIENCE);
                Ok(Outcome::Sent)
            }
        }
    }

    /// Tries the datagrams that wait for an Ethernet address again.
    pub(crate) fn retry(&mut self, now: Instant, link: &mut Link, transmitter: &mut dyn Outlet) {
        if let Some(resend) = self.resend {
            resend(self, now, link, transmitter);
        }
    }

    fn resend(&mut self, now: Instant, link: &mut Link, transmitter: &mut dyn Outlet) {
        for _ in 0..self.pending.len() {
            let Some(waiting) = self.pending.pop_front() else { return };
            if waiting.expires <= now {
                continue;
            }
            let Some(route) = link.route(waiting.destination.ip()) else { continue };
            let Pending { source, destination, payload, .. } = &waiting;
            let sent = self.emit(now, *source, *destination, payload, link, transmitter, route);
            if matches!(sent, Ok(Egress::Unresolved | Egress::Full)) {
                self.pending.push_back(waiting);
            }
        }
    }

    /// Returns when the waiting datagrams should be tried again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending.front().map(|waiting| waiting.expires)
    }

    fn keep(
        &mut self,
        source: (Option<IpAddr>, u16),
        destination: SocketAddr,
        payload: &[u8],
        expires: Instant,
    ) {
        let bytes: usize = self.pending.iter().map(|waiting| waiting.payload.len()).sum();
        if self.pending.len() < PENDING_DATAGRAMS && bytes + payload.len() <= PENDING_BYTES {
            self.pending.push_back(Pending { source, destination, payload: payload.to_vec(), expires });
            self.resend = Some(Self::resend);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one datagram is that much: from, to, bytes and the way out"
    )]
    fn emit(
        &mut self,
        now: Instant,
        (address, port): (Option<IpAddr>, u16),
        destination: SocketAddr,
        payload: &[u8],
        link: &mut Link,
        transmitter: &mut dyn Outlet,
        route: Route,
    ) -> Result<Egress, Error> {
        let headers = if destination.is_ipv4() { 0 } else { IPV6_HEADER - IPV4_HEADER };
        if payload.len() + headers > self.largest {
            let source = (address, port);
            return Self::emit_in_pieces(now, source, destination, payload, link, transmitter);
        }
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        socket.close();
        socket.bind(endpoint(address, port)).map_err(|_| Error::BadAddress)?;
        let remote = IpEndpoint::from(destination);
        let mut metadata = UdpMetadata::from(remote);
        metadata.meta.segmentation_offload_size = self.cut;
        socket.send_slice(payload, metadata).map_err(|_| Error::BadAddress)?;
        let egress = link.send_datagram(now, &mut self.sockets, transmitter, route);
        if egress == Egress::Unresolved {
            // The set would keep silent for a second whatever the destination; a fresh place in it has forgotten.
            let socket = self.sockets.remove(self.handle);
            self.handle = self.sockets.add(socket);
        }
        Ok(egress)
    }

    /// Sends a datagram that is longer than a packet: it leaves a sender of its own as a whole, on the way on which
    /// frames are looked at, and is cut there.
    #[cold]
    #[inline(never)]
    fn emit_in_pieces(
        now: Instant,
        source: (Option<IpAddr>, u16),
        destination: SocketAddr,
        payload: &[u8],
        link: &mut Link,
        transmitter: &mut dyn Outlet,
    ) -> Result<Egress, Error> {
        if !link.send_pieces(transmitter) {
            return Ok(Egress::Full);
        }
        let mut sender = Self::new(payload.len() + IPV6_HEADER + UDP_HEADER);
        sender.cut = CUT;
        let egress = sender.emit(now, source, destination, payload, link, transmitter, Route::Local);
        link.send_pieces(transmitter);
        egress
    }
}

/// Number of a UDP socket.
pub(crate) type DatagramId = Id<Datagram>;

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It is on its way, or waits for an Ethernet address.
    Sent,
    /// The device has no room now.
    Full,
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram").field("port", &self.port).field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// Sends a datagram by the short way, if there is one.
fn send_directly(
    now: Instant,
    (address, local_port): (Option<IpAddr>, u16),
    destination: SocketAddr,
    payload: &[u8],
    link: &mut Link,
    transmitter: &mut impl Transmitter,
) -> Option<Outcome> {
    let remote = destination.ip();
    let local = address.or_else(|| link.source_for(remote))?;
    let tuple = Tuple { local, remote, local_port, remote_port: destination.port() };
    match link.send_directly(now, tuple, payload, transmitter)? {
        Egress::Full => Some(Outcome::Full),
        _ => Some(Outcome::Sent),
    }
}

fn endpoint(address: Option<IpAddr>, port: u16) -> IpListenEndpoint {
    IpListenEndpoint { addr: address.map(IpAddress::from), port }
}

fn no_buffer() -> PacketBuffer<'static> {
    PacketBuffer::new(Vec::new(), Vec::new())
}

fn is_group(address: IpAddr) -> bool {
    // A subnet's own broadcast address is told by the interface; what reaches a socket's port is one of both.
    address.is_multicast() || matches!(address, IpAddr::V4(address) if address.octets()[3] == 255)
}

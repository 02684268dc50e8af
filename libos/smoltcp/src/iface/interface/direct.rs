//! Entry points for users that find the socket of a packet themselves.
//!
//! [`Interface::poll_ingress_single`] parses a frame and offers it to every socket of a set, and
//! [`Interface::poll_egress`] asks every socket of a set for output. A user that keeps a table of
//! its connections, has parsed the headers already and writes them itself needs neither the set
//! nor the device; what remains is the socket, and the context that the interface gives it.

use super::*;
#[cfg(feature = "socket-tcp")]
use crate::socket::tcp::{Socket as TcpSocket, State as TcpState};
#[cfg(feature = "socket-udp")]
use crate::socket::udp::Socket as UdpSocket;

impl Interface {
    /// Process one TCP segment that is for `socket`, and return the reply, if there is one.
    ///
    /// `ip_repr` and `tcp_repr` are what parsing the segment gave: the caller has checked its
    /// lengths and checksums, that its addresses are unicast, and that they and the ports are
    /// those of `socket`, if it is connected. A segment that a closed or listening socket does not
    /// accept is answered with a reset, as one for no socket of a set is.
    #[cfg(feature = "socket-tcp")]
    #[inline]
    pub fn process_segment(
        &mut self,
        timestamp: Instant,
        socket: &mut TcpSocket<'_>,
        ip_repr: &IpRepr,
        tcp_repr: &TcpRepr<'_>,
    ) -> Option<(IpRepr, TcpRepr<'static>)> {
        self.inner.now = timestamp;
        if matches!(socket.state(), TcpState::Closed | TcpState::Listen)
            && !socket.accepts(&mut self.inner, ip_repr, tcp_repr)
        {
            return (tcp_repr.control != TcpControl::Rst)
                .then(|| TcpSocket::rst_reply(ip_repr, tcp_repr));
        }
        socket.process(&mut self.inner, ip_repr, tcp_repr)
    }

    /// Call `emit` with the next segment of `socket`, if it has one to send now.
    ///
    /// # Errors
    /// If `emit` fails its error is returned and the socket stays as if it had not been asked.
    #[cfg(feature = "socket-tcp")]
    #[inline]
    pub fn dispatch_segment<E>(
        &mut self,
        timestamp: Instant,
        socket: &mut TcpSocket<'_>,
        emit: impl FnOnce(PacketMeta, &IpRepr, &TcpRepr<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.inner.now = timestamp;
        socket.dispatch_ref(&mut self.inner, |_, meta, ip_repr, tcp_repr| {
            emit(meta, ip_repr, tcp_repr)
        })
    }

    /// Call `emit` with the hop limit and the next segment of `socket` if that is all that it has to
    /// send and nothing is in flight or lost, and return when it wants to be asked again. This is
    /// [`Self::dispatch_segment`] and [`Self::segment_poll_at`] for the usual answer of a server, for
    /// a part of their work. `None`: the socket was not asked.
    ///
    /// # Errors
    /// If `emit` fails its error is returned and the socket stays as if it had not been asked.
    #[cfg(feature = "socket-tcp")]
    #[inline]
    pub fn dispatch_expected_segment<E>(
        &mut self,
        timestamp: Instant,
        socket: &mut TcpSocket<'_>,
        emit: impl FnOnce(u8, &TcpRepr<'_>) -> Result<(), E>,
    ) -> Option<Result<Instant, E>> {
        self.inner.now = timestamp;
        socket.dispatch_expected(&mut self.inner, emit)
    }

    /// Return when `socket` wants to be asked for a segment, as [`Interface::poll_at`] does for a
    /// set of sockets.
    #[cfg(feature = "socket-tcp")]
    #[inline]
    pub fn segment_poll_at(
        &mut self,
        timestamp: Instant,
        socket: &TcpSocket<'_>,
    ) -> Option<Instant> {
        self.inner.now = timestamp;
        match socket.poll_at(&mut self.inner) {
            PollAt::Ingress => None,
            PollAt::Time(instant) => Some(instant),
            PollAt::Now => Some(Instant::from_millis(0)),
        }
    }

    /// Hand the payload of one UDP datagram to `socket`, which it is for.
    ///
    /// `ip_repr` and `udp_repr` are what parsing the datagram gave: the caller has checked its
    /// lengths and checksums, that its source is unicast, that its destination is an address of
    /// this interface, and that it and the port are those that `socket` is bound to.
    #[cfg(feature = "socket-udp")]
    pub fn process_datagram(
        &mut self,
        timestamp: Instant,
        socket: &mut UdpSocket<'_>,
        ip_repr: &IpRepr,
        udp_repr: &UdpRepr,
        payload: &[u8],
    ) {
        self.inner.now = timestamp;
        socket.process(
            &mut self.inner,
            PacketMeta::default(),
            ip_repr,
            udp_repr,
            payload,
        );
    }

    /// Return the hardware address that packets to the unicast address `addr` are sent to now, if
    /// it is known: that of the neighbor, or of the router.
    #[cfg(any(feature = "medium-ethernet", feature = "medium-ieee802154"))]
    pub fn next_hop(&self, timestamp: Instant, addr: &IpAddress) -> Option<HardwareAddress> {
        if !addr.is_unicast() || self.inner.is_broadcast(addr) {
            return None;
        }
        let routed_addr = self.inner.route(addr, timestamp)?;
        match self.inner.neighbor_cache.lookup(&routed_addr, timestamp) {
            NeighborAnswer::Found(hardware_addr) => Some(hardware_addr),
            NeighborAnswer::NotFound | NeighborAnswer::RateLimited => None,
        }
    }
    /// Note that a packet of the unicast address `addr` came from `hardware_addr`: if that is what
    /// packets to it are sent to, it stays known for a while more.
    #[cfg(any(feature = "medium-ethernet", feature = "medium-ieee802154"))]
    pub fn refresh_neighbor(
        &mut self,
        timestamp: Instant,
        addr: IpAddress,
        hardware_addr: HardwareAddress,
    ) {
        self.inner
            .neighbor_cache
            .reset_expiry_if_existing(addr, hardware_addr, timestamp);
    }
}

//! UDP: from datagrams to sockets, and what the program does with them.

use super::Stack;
use crate::net::config::is_host;
use crate::net::datagram::{Datagram, DatagramId, Outcome, Sender};
use crate::net::device::{Outlet, Transmitter};
use crate::net::dhcp;
use crate::net::dns;
use crate::net::error::Error;
use crate::net::frame::Tuple;
use crate::net::link::Route;
use crate::net::ports::canonical;
use crate::readiness::{Readiness, Token, Waiters};
use core::net::{IpAddr, SocketAddr};
use smoltcp::time::Instant;

/// Hands a datagram to the socket that it is for, and tells whether there is one.
pub(super) type HandToSocket = fn(&mut Stack, Instant, &[u8], Tuple, &mut dyn Outlet, Route) -> bool;

impl Stack {
    /// Binds a UDP socket that holds up to `capacity` bytes; port 0 takes a free one. Returns the port, too.
    pub(crate) fn bind(
        &mut self,
        address: impl Into<SocketAddr>,
        capacity: usize,
    ) -> Result<(DatagramId, u16), Error> {
        let (bound, port) = self.place(address.into(), |stack| &stack.datagram_ports)?;
        let id = self.datagrams.insert(Datagram::new(bound, port, capacity));
        self.datagram_ports.insert(bound, port, id);
        self.hand_to_socket = Some(Self::hand_to_socket);
        Ok((id, port))
    }

    /// Forgets a UDP socket and what it holds.
    pub(crate) fn unbind(&mut self, id: DatagramId) {
        if let Some(mut datagram) = self.datagrams.remove(id) {
            self.datagram_ports.remove(datagram.bound, datagram.port);
            datagram.waiters.wake(Readiness::all(), &mut self.woken);
        }
    }

    /// Calls `change` with a UDP socket.
    pub(crate) fn with_datagram<R>(
        &mut self,
        id: DatagramId,
        change: impl FnOnce(&mut Datagram) -> R,
    ) -> Result<R, Error> {
        self.datagrams.get_mut(id).map(change).ok_or(Error::NoSuchSocket)
    }

    /// Leaves `token` until a datagram is here.
    pub(crate) fn wait_for_datagram(&mut self, id: DatagramId, token: Token) {
        if let Some(datagram) = self.datagrams.get_mut(id) {
            datagram.waiters.add(Readiness::READABLE, token);
        }
    }

    /// Returns who waits at a UDP socket.
    pub(crate) fn datagram_waiters(&mut self, id: DatagramId) -> Option<&mut Waiters> {
        self.datagrams.get_mut(id).map(|datagram| &mut datagram.waiters)
    }

    /// Fails once with what ICMP told of earlier datagrams of a socket.
    pub(crate) fn take_datagram_error(&mut self, id: DatagramId) -> Result<(), Error> {
        let datagram = self.datagrams.get_mut(id).ok_or(Error::NoSuchSocket)?;
        datagram.error.take().map_or(Ok(()), Err)
    }

    /// Sends a datagram at once.
    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        id: DatagramId,
        destination: impl Into<SocketAddr>,
        payload: &[u8],
        transmitter: &mut impl Transmitter,
    ) -> Result<Outcome, Error> {
        self.take_datagram_error(id)?;
        let datagram = self.datagrams.get(id).ok_or(Error::NoSuchSocket)?;
        let destination = canonical(destination.into());
        let address = destination.ip();
        let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        let is_possible = is_host(address) || address.is_loopback() || is_broadcast || address.is_multicast();
        if destination.port() == 0 || !is_possible || !datagram.bound.can_send_to(address) {
            return Err(Error::BadAddress);
        }
        let source = (datagram.bound.only(), datagram.port);
        let sender = self.sender.get_or_insert_with(|| Sender::new(self.link.mtu()));
        sender.send(now, source, destination, payload, &mut self.link, transmitter)
    }

    pub(super) fn deliver_datagram(
        &mut self,
        now: Instant,
        frame: &[u8],
        tuple: Tuple,
        transmitter: &mut impl Transmitter,
        route: Route,
    ) {
        if tuple.local_port == dhcp::CLIENT_PORT
            && let Some(dhcp) = &mut self.dhcp
        {
            self.link.ingress(now, frame, &mut dhcp.sockets, transmitter, route);
            return dhcp.hasten(now);
        }
        if let Some(hand_to_socket) = self.hand_to_socket
            && hand_to_socket(self, now, frame, tuple, transmitter, route)
        {
            return;
        }
        if tuple.remote_port == dns::SERVER_PORT && self.dns.is_waiting() {
            self.link.ingress(now, frame, &mut self.dns.sockets, transmitter, route);
            return self.dns.hasten(now);
        }
        if tuple.local.is_ipv4() {
            self.answer(now, frame, transmitter, route);
        } else {
            self.link.refuse_datagram(frame, transmitter);
        }
    }

    /// Hands a datagram to the socket that it is for; `false` if there is none.
    fn hand_to_socket(
        &mut self,
        now: Instant,
        frame: &[u8],
        tuple: Tuple,
        transmitter: &mut dyn Outlet,
        route: Route,
    ) -> bool {
        let Some(id) = self.datagram_ports.get(tuple.local, tuple.local_port) else { return false };
        let datagram = self.datagrams.get_mut(id).expect("the tables name the same sockets");
        if !datagram.takes(tuple.peer_end(), tuple.local) {
            return false;
        }
        if !self.link.take_directly(now, frame, tuple, datagram.socket_mut(), route) {
            self.link.ingress(now, frame, &mut datagram.sockets, transmitter, route);
        }
        if datagram.can_receive() {
            datagram.waiters.wake(Readiness::READABLE, &mut self.woken);
        }
        true
    }
}

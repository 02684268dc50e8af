//! The way of one TCP connection through the interface: short where it can be, by way of the whole stack where not.
//!
//! Short means that the headers are read and written by [`segment`] and the socket is called directly.
//! That takes the Ethernet address of the next hop, which is remembered as long as the table of neighbours does not
//! change, and for a few seconds at most. Without it, for an own address, and for unusual headers, frames pass the
//! whole stack, as do those of IPv6.

use super::segment::{self, Path};
use super::{Egress, Link, Origin, Route};
use crate::net::device::{Checksums, Transmitter};
use crate::net::frame::{PROTOCOL_TCP, Tuple};
use alloc::vec::Vec;
use core::num::NonZeroU16;
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp::Socket;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpRepr, TcpRepr};

/// A TCP socket, alone in a socket set, and where its frames go.
#[derive(Debug)]
pub(crate) struct Line {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    route: Route,
    path: Option<Path>,
}

/// The device has no room.
struct Full;

impl Line {
    /// Bytes of the socket, which lies apart, without its buffers.
    pub(crate) const SOCKET: usize = size_of::<SocketStorage<'static>>();

    pub(crate) fn new(socket: Socket<'static>) -> Self {
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self { sockets, handle, route: Route::Wire, path: None }
    }

    /// Forgets all about the last connection.
    pub(crate) fn renew(&mut self, route: Route) {
        // The set remembers which neighbour the old connection waited for.
        self.sockets.renew(self.handle);
        self.route = route;
        self.path = None;
    }

    pub(crate) fn route(&self) -> Route {
        self.route
    }

    #[inline]
    pub(crate) fn socket(&self) -> &Socket<'static> {
        self.sockets.get(self.handle)
    }

    #[inline]
    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

impl Link {
    /// Reads a frame of the usual form with a segment to us.
    #[inline]
    pub(crate) fn read_segment<'a>(&self, frame: &'a [u8]) -> Option<(IpRepr, TcpRepr<'a>)> {
        segment::read(self.local.hardware, frame)
    }

    /// Makes sure that there is a short way for `line`, which `frame` has come on, one of the usual form; `false` if there
    /// is none.
    #[inline]
    pub(crate) fn has_short_way(
        &mut self,
        now: Instant,
        frame: &[u8],
        tuple: Tuple,
        line: &mut Line,
    ) -> bool {
        line.path.as_ref().is_some_and(|path| path.is_valid(self.generation, now))
            || self.renew_path(now, frame, tuple, line)
    }

    /// Hands a segment that has been read to the socket of `line`, which it is for and which has a short way. Replies go
    /// out at once.
    #[inline]
    pub(crate) fn take_segment(
        &mut self,
        now: Instant,
        (ip, segment): &(IpRepr, TcpRepr<'_>),
        line: &mut Line,
        transmitter: &mut impl Transmitter,
    ) {
        let Line { sockets, handle, path, .. } = line;
        let socket = sockets.get_mut(*handle);
        if let Some((ip, reply)) = self.interface.process_segment(now, socket, ip, segment)
            && let Some(path) = path
        {
            // Without room it is lost, as it could be on the way.
            let _ = put(self.checksums, path, ip.hop_limit(), &reply, None, transmitter);
        }
    }

    /// Hands the frame with a segment for the socket of `line` to it by way of the whole stack.
    pub(crate) fn take_frame(
        &mut self,
        now: Instant,
        frame: &[u8],
        line: &mut Line,
        transmitter: &mut impl Transmitter,
    ) {
        let Line { sockets, route, .. } = line;
        self.ingress(now, frame, sockets, transmitter, *route);
    }

    /// Sends the one segment that the socket of `line` has to send, and returns when it wants to be asked again; `None`:
    /// there is more to look at, or no short way, and nothing was sent.
    #[inline]
    pub(crate) fn send_expected(
        &mut self,
        now: Instant,
        line: &mut Line,
        transmitter: &mut impl Transmitter,
    ) -> Option<Instant> {
        let Line { sockets, handle, path, .. } = line;
        let path = path.as_ref().filter(|path| path.is_valid(self.generation, now))?;
        let checksums = self.checksums;
        let socket = sockets.get_mut(*handle);
        let sent = self.interface.dispatch_expected_segment(now, socket, |hop_limit, segment| {
            put(checksums, path, hop_limit, segment, None, transmitter)
        });
        sent?.ok()
    }

    /// Asks the socket of `line`, which is for the connection `tuple`, for a segment.
    pub(crate) fn send_segment(
        &mut self,
        now: Instant,
        tuple: Tuple,
        line: &mut Line,
        transmitter: &mut impl Transmitter,
    ) -> Egress {
        if !line.path.as_ref().is_some_and(|path| path.is_valid(self.generation, now)) {
            line.path = self.path(now, PROTOCOL_TCP, tuple, line.route);
        }
        let Line { sockets, handle, route, path } = line;
        let Some(path) = path else {
            return self.egress(now, sockets, transmitter, *route, Origin::Segment);
        };
        let mut egress = Egress::Nothing;
        let checksums = self.checksums;
        let socket = sockets.get_mut(*handle);
        let outcome = self.interface.dispatch_segment(now, socket, |meta, ip, segment| {
            put(checksums, path, ip.hop_limit(), segment, meta.segmentation_offload_size, transmitter)?;
            egress = Egress::Sent;
            Ok::<_, Full>(())
        });
        outcome.map_or(Egress::Full, |()| egress)
    }

    /// Returns when the socket of `line` wants to be asked for a segment.
    pub(crate) fn segment_deadline(&mut self, now: Instant, line: &Line) -> Option<Instant> {
        match &line.path {
            Some(_) => self.interface.segment_poll_at(now, line.socket()),
            None => self.deadline(now, &line.sockets),
        }
    }

    /// Looks at the table of neighbours again, where the sender of `frame` stays.
    #[cold]
    fn renew_path(&mut self, now: Instant, frame: &[u8], tuple: Tuple, line: &mut Line) -> bool {
        if let Some(source) = frame[6..].first_chunk() {
            let source = HardwareAddress::Ethernet(EthernetAddress(*source));
            self.interface.refresh_neighbor(now, tuple.remote.into(), source);
        }
        line.path = self.path(now, PROTOCOL_TCP, tuple, line.route);
        line.path.is_some()
    }

    pub(super) fn path(&self, now: Instant, protocol: u8, tuple: Tuple, route: Route) -> Option<Path> {
        if route == Route::Local || !tuple.remote.is_ipv4() {
            return None;
        }
        match self.interface.next_hop(now, &IpAddress::from(tuple.remote))? {
            HardwareAddress::Ethernet(next) => {
                Path::new(self.local.hardware, next.0, protocol, tuple, self.generation, now)
            }
        }
    }
}

/// Writes a segment in place and hands it to the device, which cuts it if it is longer than `cut`.
#[inline(never)]
fn put(
    checksums: Checksums,
    path: &Path,
    hop_limit: u8,
    segment: &TcpRepr<'_>,
    cut: Option<NonZeroU16>,
    transmitter: &mut impl Transmitter,
) -> Result<(), Full> {
    if !transmitter.has_room() {
        return Err(Full);
    }
    transmitter.transmit(segment::frame_length(segment), |frame| {
        path.write(hop_limit, segment, checksums, frame);
        ((), segment::finish(segment, checksums, cut, frame))
    });
    Ok(())
}

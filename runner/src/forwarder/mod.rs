//! Forwards published ports between this host's sockets and a guest that runs as a process, with nothing installed and
//! no rights.
//!
//! One thread with a TCP/IP stack of its own, the published smoltcp, which plays the guest's gateway: a connection that
//! the host accepts is opened again from the gateway to the guest, and bytes are carried over between the two. Frames
//! go over a packet socket, as long as IP allows, since nothing on the way is a real wire. What the guest itself wants
//! to reach, beyond its gateway, is refused ([`refusal`]): passt or a tap interface carry that.
//!
//! ```text
//! client ── host's TCP ── [stream] ── smoltcp ── [wire] ── socket pair ── guest
//! ```

mod datagrams;
mod ground;
mod refusal;
mod stream;
mod wire;

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

use crate::network::{Address, Forward, NetworkError, Protocol};
use ground::Ground;
pub(crate) use wire::MTU;

/// Bytes that may be under way in a socket pair; the host gives what it can.
const SOCKET_BUFFER: usize = 4 << 20;

/// Where guest and gateway are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// The guest's address.
    pub(crate) guest: Address,
    /// The address that the forwarder has there.
    pub(crate) gateway: Ipv4Addr,
}

/// A socket of this host at which clients of the guest come in.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: HostSocket,
    guest_port: u16,
}

#[derive(Debug)]
enum HostSocket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// A running forwarder; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Forwarder {
    /// Closed to end it.
    door: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

/// Makes a pair of sockets that keep messages apart, one for the guest.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    for end in [&one, &other] {
        // Without rights there is a bound below this, which serves too.
        if sockopt::set_socket_send_buffer_size_force(end, SOCKET_BUFFER).is_err() {
            sockopt::set_socket_send_buffer_size(end, SOCKET_BUFFER)?;
        }
    }
    Ok((one, other))
}

/// Listens at every port of `forwards`, and returns them with the ports that were free.
///
/// # Errors
///
/// A port is in use, needs rights, or the address is not one of this host.
pub(crate) fn listen(forwards: &[Forward]) -> Result<(Vec<Forward>, Vec<Listener>), NetworkError> {
    let listen_one = |forward: &Forward| {
        let refused =
            |cause: io::Error| NetworkError::PortUnavailable { forward: *forward, cause: cause.kind() };
        let (socket, host_port) = bind(forward).map_err(refused)?;
        Ok((Forward { host_port, ..*forward }, Listener { socket, guest_port: forward.guest_port }))
    };
    let both: Vec<_> = forwards.iter().map(listen_one).collect::<Result<_, NetworkError>>()?;
    Ok(both.into_iter().unzip())
}

impl Forwarder {
    /// Starts forwarding from `listeners` to the guest at the other end of `wire`.
    pub(crate) fn start(wire: OwnedFd, listeners: Vec<Listener>, place: Place) -> io::Result<Self> {
        let (door, inner_door) = UnixStream::pair()?;
        let ground = Ground::new(wire, inner_door, listeners, place)?;
        let thread = thread::Builder::new().name("forwarder".to_owned()).spawn(move || ground.run())?;
        Ok(Self { door: Some(door), thread: Some(thread) })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.door.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn bind(forward: &Forward) -> io::Result<(HostSocket, u16)> {
    let address = (forward.host_address, forward.host_port);
    match forward.protocol {
        Protocol::Tcp => {
            let socket = TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            Ok((HostSocket::Tcp(socket), port))
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            let port = socket.local_addr()?.port();
            Ok((HostSocket::Udp(socket), port))
        }
    }
}

#[cfg(test)]
mod tests;

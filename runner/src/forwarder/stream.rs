//! A connection: the host's half and smoltcp's, and the bytes between them.
//!
//! Bytes go from socket to socket without a stop: smoltcp's buffers are what the host reads into and writes from. So
//! either side's window is what the other side lets through, and a half that ends, ends the other's half behind the
//! last byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::event::PollFlags;
use stock_smoltcp as smoltcp;

use smoltcp::iface::{Context, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::IpEndpoint;

/// Bytes of smoltcp's buffers, each way.
const BUFFER: usize = 256 << 10;

/// A connection that is carried over.
#[derive(Debug)]
pub(super) struct Stream {
    host: TcpStream,
    handle: SocketHandle,
    /// The client has sent its last byte.
    is_host_done: bool,
    /// The guest has sent its last byte, and the client knows.
    is_guest_done: bool,
    /// The host took no more when it was last offered something.
    is_host_full: bool,
    /// The client may have sent something.
    is_host_readable: bool,
    /// It was broken off here, and the guest is told by a reset.
    is_aborted: bool,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Open,
    Over,
}

impl Stream {
    /// Opens a connection to the guest for a client of the host.
    pub(super) fn open(
        host: TcpStream,
        sockets: &mut SocketSet<'static>,
        context: &mut Context,
        guest: IpEndpoint,
        port: u16,
    ) -> io::Result<Self> {
        host.set_nonblocking(true)?;
        host.set_nodelay(true)?;
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.connect(context, guest, port).map_err(|error| io::Error::other(error.to_string()))?;
        let handle = sockets.add(socket);
        Ok(Self {
            host,
            handle,
            is_host_done: false,
            is_guest_done: false,
            is_host_full: false,
            is_host_readable: true,
            is_aborted: false,
        })
    }

    /// Carries over what there is. A connection that is over has left the set.
    pub(super) fn carry(&mut self, sockets: &mut SocketSet<'static>) -> State {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        let result = self.carry_to_guest(socket).and_then(|()| self.carry_to_host(socket));
        let is_reset = socket.state() == tcp::State::Closed && !self.is_guest_done;
        let is_over = socket.state() == tcp::State::Closed || socket.state() == tcp::State::TimeWait;
        if result.is_err() {
            socket.abort();
            // The reset is still to be sent.
            self.is_aborted = true;
            return State::Open;
        }
        if is_reset {
            // The client learns of it by a reset, too (socket(7): SO_LINGER of zero).
            let _ = rustix::net::sockopt::set_socket_linger(&self.host, Some(Duration::ZERO));
        }
        if is_reset || is_over && self.is_guest_done {
            sockets.remove(self.handle);
            return State::Over;
        }
        State::Open
    }

    /// Takes a connection that was broken off from the set, once its reset has been sent.
    pub(super) fn leave(&self, sockets: &mut SocketSet<'static>) -> State {
        if self.is_aborted {
            sockets.remove(self.handle);
            return State::Over;
        }
        State::Open
    }

    /// Notes that the client may have sent something.
    pub(super) fn note_readable(&mut self) {
        self.is_host_readable = true;
    }

    /// Returns the host's half.
    pub(super) fn host(&self) -> &TcpStream {
        &self.host
    }

    /// Returns what the host's half is waited for.
    pub(super) fn interest(&self, sockets: &SocketSet<'static>) -> PollFlags {
        let socket = sockets.get::<tcp::Socket<'_>>(self.handle);
        let mut interest = PollFlags::empty();
        if !self.is_host_done && socket.can_send() {
            interest |= PollFlags::IN;
        }
        if self.is_host_full {
            interest |= PollFlags::OUT;
        }
        interest
    }

    fn carry_to_guest(&mut self, socket: &mut tcp::Socket<'static>) -> io::Result<()> {
        while self.is_host_readable && !self.is_host_done && socket.can_send() {
            let host = &mut self.host;
            let read = socket.send(|room| match host.read(room) {
                Ok(count) => (count, Ok((count, room.len()))),
                Err(error) => (0, Err(error)),
            });
            match read.map_err(|_| io::ErrorKind::NotConnected)? {
                Ok((0, _)) => {
                    self.is_host_done = true;
                    socket.close();
                }
                // Less than there was room for was everything; if more has come, `poll` says so.
                Ok((count, room)) => self.is_host_readable = count == room,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_host_readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn carry_to_host(&mut self, socket: &mut tcp::Socket<'static>) -> io::Result<()> {
        self.is_host_full = false;
        while socket.can_recv() {
            let host = &mut self.host;
            let written = socket.recv(|bytes| match host.write(bytes) {
                Ok(count) => (count, Ok(())),
                Err(error) => (0, Err(error)),
            });
            match written.map_err(|_| io::ErrorKind::NotConnected)? {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_host_full = true;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let has_ended = matches!(
            socket.state(),
            tcp::State::CloseWait | tcp::State::LastAck | tcp::State::Closing | tcp::State::TimeWait
        );
        if has_ended && !self.is_guest_done {
            self.is_guest_done = true;
            // The client may have gone in the meantime.
            drop(self.host.shutdown(Shutdown::Write));
        }
        Ok(())
    }
}

//! The server: one thread, one epoll, all services.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::connection::{Connection, Service, Wish};
use crate::datagrams::{self, Taken};

/// Port of HTTP.
const HTTP: u16 = 80;
/// First of the ports of the other services.
const BASE: u16 = 5201;
/// Most events, and most new connections, that are taken at once.
const EVENTS: usize = 256;
/// Bytes that are read or sent at once.
const BUFFER: usize = 64 << 10;

/// What a listener does with a connection.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Serve(Service),
    Close,
    Figures,
}

#[derive(Clone, Copy, Debug)]
enum Datagrams {
    Echo,
    Sink,
    Source,
}

#[derive(Debug)]
enum Socket {
    Listener(TcpListener, Purpose),
    Datagrams(UdpSocket, Datagrams),
    Connection(Connection, Wish),
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Server {
    epoll: OwnedFd,
    /// By the number that epoll knows them by.
    sockets: Vec<Option<Socket>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    connections: u64,
    open: u64,
    taken: Taken,
}

impl Server {
    /// Opens the ports.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut server = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            sockets: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; BUFFER],
            connections: 0,
            open: 0,
            taken: Taken::default(),
        };
        let services = [
            (HTTP, Purpose::Serve(Service::Http)),
            (BASE, Purpose::Serve(Service::Echo)),
            (BASE + 1, Purpose::Serve(Service::Sink)),
            (BASE + 2, Purpose::Serve(Service::Source)),
            (BASE + 3, Purpose::Close),
            (BASE + 4, Purpose::Figures),
        ];
        for (port, purpose) in services {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
            listener.set_nonblocking(true)?;
            server.add(Socket::Listener(listener, purpose))?;
        }
        for (port, kind) in
            [(BASE, Datagrams::Echo), (BASE + 1, Datagrams::Sink), (BASE + 2, Datagrams::Source)]
        {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            socket.set_nonblocking(true)?;
            server.add(Socket::Datagrams(socket, kind))?;
        }
        Ok(server)
    }

    /// Serves until something fails that concerns all.
    pub(crate) fn serve(mut self) -> io::Error {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            if let Err(error) = epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                return error.into();
            }
            for event in &events {
                if let Err(error) = self.handle(usize::try_from(event.data.u64()).unwrap_or(usize::MAX)) {
                    return error;
                }
            }
        }
    }

    fn handle(&mut self, index: usize) -> io::Result<()> {
        match self.sockets.get_mut(index).and_then(Option::as_mut) {
            None => Ok(()),
            Some(Socket::Datagrams(socket, Datagrams::Echo)) => datagrams::echo(socket, &mut self.buffer),
            Some(Socket::Datagrams(socket, Datagrams::Sink)) => {
                datagrams::sink(socket, &mut self.buffer, &mut self.taken)
            }
            Some(Socket::Datagrams(socket, Datagrams::Source)) => datagrams::source(socket, &mut self.buffer),
            Some(Socket::Connection(connection, before)) => {
                // A client that breaks off is no news.
                let wish = connection.advance(&mut self.buffer).unwrap_or(Wish::Close);
                if wish == *before {
                    return Ok(());
                }
                *before = wish;
                self.heed(index, wish)
            }
            Some(Socket::Listener(..)) => self.accept(index),
        }
    }

    fn heed(&mut self, index: usize, wish: Wish) -> io::Result<()> {
        let Some(Some(Socket::Connection(connection, _))) = self.sockets.get(index) else { return Ok(()) };
        let flags = match wish {
            Wish::Read => EventFlags::IN,
            Wish::Write => EventFlags::OUT,
            Wish::Close => {
                // Closing takes it out of the epoll.
                self.sockets[index] = None;
                self.free.push(index);
                self.open -= 1;
                return Ok(());
            }
        };
        Ok(epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(index as u64), flags)?)
    }

    fn accept(&mut self, index: usize) -> io::Result<()> {
        for _ in 0..EVENTS {
            let Some(Some(Socket::Listener(listener, purpose))) = self.sockets.get(index) else {
                return Ok(());
            };
            let purpose = *purpose;
            match listener.accept() {
                Ok((stream, _)) => self.welcome(stream, purpose)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has gone already.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn welcome(&mut self, mut stream: TcpStream, purpose: Purpose) -> io::Result<()> {
        match purpose {
            Purpose::Figures => {
                let (connections, open, Taken { datagrams, bytes }) =
                    (self.connections, self.open, self.taken);
                let line = format!(
                    "connections={connections} open={open} datagrams={datagrams} datagram_bytes={bytes}\n"
                );
                // A client that breaks off is no news.
                let _ = stream.write_all(line.as_bytes());
                Ok(())
            }
            Purpose::Close => {
                self.connections += 1;
                Ok(())
            }
            Purpose::Serve(service) => {
                self.connections += 1;
                self.open += 1;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                self.add(Socket::Connection(Connection::new(stream, service), Wish::Read))
            }
        }
    }

    fn add(&mut self, socket: Socket) -> io::Result<()> {
        let index = self.free.pop().unwrap_or(self.sockets.len());
        let descriptor = match &socket {
            Socket::Listener(listener, _) => listener.as_fd(),
            Socket::Datagrams(socket, _) => socket.as_fd(),
            Socket::Connection(connection, _) => connection.stream.as_fd(),
        };
        epoll::add(&self.epoll, descriptor, EventData::new_u64(index as u64), EventFlags::IN)?;
        match self.sockets.get_mut(index) {
            Some(place) => *place = Some(socket),
            None => self.sockets.push(Some(socket)),
        }
        Ok(())
    }
}

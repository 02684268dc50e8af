//! The server: one thread serves all connections from a poll set; the datagram services have one each.

mod connection;
mod datagrams;
mod figures;

use crate::protocol::Service;
use connection::{Connection, Progress};
use figures::FIGURES;
use libos::io::{Error, ErrorKind, Result};
use libos::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use libos::poll::{Event, Mode, Poll, Readiness, Watch};
use libos::vec::Vec;
use libos::{eprintln, println, process, thread};
use slab::Slab;

/// Most events taken in one go.
const BATCH: usize = 256;
/// The key of the first listener; connections have their place in the table, which never gets that far.
const FIRST_LISTENER: u64 = 1 << 32;

/// The TCP services.
struct Server {
    poll: Poll,
    listeners: Vec<(Service, TcpListener, Watch)>,
    clients: Slab<Client>,
}

struct Client {
    connection: Connection,
    watch: Watch,
    interest: Readiness,
}

/// Serves until the user asks to stop.
pub(crate) fn serve(base: u16) -> Result<()> {
    process::on_stop(|| process::exit(0))?;
    let mut server = Server { poll: Poll::new(), listeners: Vec::new(), clients: Slab::new() };
    for service in Service::ALL {
        server.listen(service, port(service, base)?)?;
    }
    spawn("echo", datagrams::echo, port(Service::Echo, base)?)?;
    spawn("sink", datagrams::sink, port(Service::Sink, base)?)?;
    spawn("source", datagrams::source, port(Service::Source, base)?)?;
    println!("netbench: serving on ports {base} to {}", port(Service::Figures, base)?);
    server.run()
}

fn port(service: Service, base: u16) -> Result<u16> {
    service.port(base).ok_or(Error::new(ErrorKind::InvalidInput, "the base port is too high"))
}

/// Starts a service over UDP.
fn spawn(name: &str, serve: fn(&UdpSocket) -> Result<()>, port: u16) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    thread::Builder::new().name(name.into()).spawn(move || {
        if let Err(error) = serve(&socket) {
            eprintln!("netbench: {error}");
        }
    })?;
    Ok(())
}

impl Server {
    fn listen(&mut self, service: Service, port: u16) -> Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
        listener.set_nonblocking(true)?;
        let key = FIRST_LISTENER + self.listeners.len() as u64;
        let watch = self.poll.watch(&listener, key, Readiness::READABLE, Mode::Level);
        self.listeners.push((service, listener, watch));
        Ok(())
    }

    fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            self.poll.wait(&mut events, BATCH, None);
            for event in events.drain(..) {
                self.handle(event)?;
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        if let Some(index) = event.key.checked_sub(FIRST_LISTENER) {
            return self.accept_all(usize::try_from(index).unwrap_or(usize::MAX));
        }
        let place = usize::try_from(event.key).unwrap_or(usize::MAX);
        // A client may have gone by an earlier event of the same batch.
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        match client.connection.advance() {
            Progress::Waits(interest) if interest == client.interest => {}
            Progress::Waits(interest) => {
                client.interest = interest;
                client.watch.change(interest, Mode::Level);
            }
            Progress::Over => drop(self.clients.remove(place)),
        }
        Ok(())
    }

    fn accept_all(&mut self, index: usize) -> Result<()> {
        loop {
            let Some((service, listener, _)) = self.listeners.get(index) else { return Ok(()) };
            let service = *service;
            match listener.accept() {
                Ok((stream, _)) => self.admit(service, stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn admit(&mut self, service: Service, stream: TcpStream) -> Result<()> {
        FIGURES.count_connection(service);
        if service == Service::Close {
            return Ok(());
        }
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let entry = self.clients.vacant_entry();
        let interest = Connection::first_interest(service);
        let watch = self.poll.watch(&stream, entry.key() as u64, interest, Mode::Level);
        entry.insert(Client { connection: Connection::new(service, stream), watch, interest });
        Ok(())
    }
}

//! All connections, and whose turn it is.

use crate::connection::{Connection, Progress};
use crate::figures::FIGURES;
use libos::io::{ErrorKind, Result};
use libos::net::{TcpListener, TcpStream};
use libos::poll::{Event, Mode, Poll, Readiness, Watch};
use libos::time::{Duration, Instant};
use libos::vec::Vec;
use libos::{eprintln, system};
use slab::Slab;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(75);
/// How often silent ones are looked for: all clients are looked at then.
const LOOK: Duration = Duration::from_secs(15);
/// Most events taken in one go.
const BATCH: usize = 256;
/// The listener's key; connections have their place in the table, which never gets that far.
const LISTENER: u64 = u64::MAX;
/// What a connection usually costs the server itself, in bytes.
const CONNECTION_BYTES: u64 = 1 << 10;
/// The share of the memory that connections may take, and that unusual ones may, which hold heads that are not whole yet
/// or answers that nobody takes.
const MEMORY_SHARE: u64 = 16;

/// The server.
pub(crate) struct Server {
    listener: TcpListener,
    poll: Poll,
    clients: Slab<Client>,
    /// When to look for clients that have been silent for too long.
    next_look: Instant,
    limit: u64,
    /// Bytes held for all clients, and how many may be.
    held: usize,
    held_limit: usize,
    has_warned: bool,
}

struct Client {
    connection: Connection,
    watch: Watch,
    interest: Readiness,
    last_heard: Instant,
}

impl Server {
    /// Makes a server for the connections that come to `listener`.
    pub(crate) fn new(listener: TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let share = system::memory_bytes() / MEMORY_SHARE;
        Ok(Self {
            listener,
            poll: Poll::new(),
            clients: Slab::new(),
            next_look: after(Instant::now(), LOOK),
            limit: (share / CONNECTION_BYTES).max(16),
            held: 0,
            held_limit: usize::try_from(share).unwrap_or(usize::MAX),
            has_warned: false,
        })
    }

    /// Serves for ever.
    pub(crate) fn run(mut self) -> Result<()> {
        let _watch = self.poll.watch(&self.listener, LISTENER, Readiness::READABLE, Mode::Level);
        let mut events = Vec::with_capacity(BATCH);
        loop {
            let timeout = (!self.clients.is_empty()).then_some(LOOK);
            self.poll.wait(&mut events, BATCH, timeout);
            let now = Instant::now();
            for event in events.drain(..) {
                self.handle(event, now)?;
            }
            if now >= self.next_look {
                self.next_look = after(now, LOOK);
                self.clients.retain(|_, client| after(client.last_heard, PATIENCE) > now);
                self.held = self.clients.iter().map(|(_, client)| client.connection.held()).sum();
            }
        }
    }

    fn handle(&mut self, event: Event, now: Instant) -> Result<()> {
        if event.key == LISTENER {
            return self.accept_all(now);
        }
        let place = usize::try_from(event.key).unwrap_or(usize::MAX);
        // A client may have gone by an earlier event of the same batch.
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        client.last_heard = now;
        let before = client.connection.held();
        let mut progress = client.connection.advance();
        let held = client.connection.held();
        self.held = (self.held + held).saturating_sub(before);
        if self.held > self.held_limit && held > before {
            progress = Progress::Over;
        }
        match progress {
            Progress::Waits(interest) if interest == client.interest => {}
            Progress::Waits(interest) => {
                client.interest = interest;
                client.watch.change(interest, Mode::Edge);
            }
            Progress::Over => {
                self.held = self.held.saturating_sub(held);
                drop(self.clients.remove(place));
            }
        }
        Ok(())
    }

    fn accept_all(&mut self, now: Instant) -> Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) if self.clients.len() as u64 >= self.limit => self.refuse(stream),
                Ok((stream, _)) => self.admit(stream, now)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, now: Instant) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let entry = self.clients.vacant_entry();
        let interest = Readiness::READABLE;
        let watch = self.poll.watch(&stream, entry.key() as u64, interest, Mode::Edge);
        entry.insert(Client { connection: Connection::new(stream), watch, interest, last_heard: now });
        Ok(())
    }

    fn refuse(&mut self, stream: TcpStream) {
        if !self.has_warned {
            self.has_warned = true;
            eprintln!(
                "http: no memory for more than {} connections, refuses the others; start with more (-m)",
                FIGURES.open_connections()
            );
        }
        Connection::refuse(stream);
    }
}

fn after(moment: Instant, time: Duration) -> Instant {
    moment.checked_add(time).unwrap_or(moment)
}

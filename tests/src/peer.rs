//! A host on a [`Cable`]: it has a network stack of its own and asks the guest for a page as any client would, and it
//! can fall silent as no client on this host's own stack can.

use std::fmt;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use stock_smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use stock_smoltcp::socket::tcp;
use stock_smoltcp::time::Instant as StackInstant;
use stock_smoltcp::wire::IpCidr;

use crate::cable::{Cable, HARDWARE_ADDRESS};
use crate::namespace::GUEST;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest sleep of the host's stack, and of a client that was refused.
const LONGEST_SLEEP: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);
/// First port of the host's own connections.
const FIRST_PORT: u16 = 49_152;
/// What is told when a connection is refused.
const REFUSED: &str = "refused";
const BUFFER: usize = 64 << 10;

/// A host on a cable.
pub struct Peer {
    cable: Cable,
    interface: Interface,
    start: Instant,
    next_port: u16,
}

/// A connection that a [`Peer`] opened.
pub struct Connection {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Peer {
    /// Puts a host with address `ip` on a cable.
    ///
    /// # Panics
    ///
    /// Never: a new interface has room for an address.
    #[must_use]
    pub fn new(mut cable: Cable, ip: Ipv4Addr) -> Self {
        let mut config = Config::new(HARDWARE_ADDRESS.into());
        config.random_seed = u64::from(u32::from(ip));
        let start = Instant::now();
        let mut interface = Interface::new(config, &mut cable, StackInstant::ZERO);
        interface.update_ip_addrs(|list| {
            list.push(IpCidr::new(ip.into(), GUEST.prefix)).expect("a new interface has room for an address");
        });
        Self { cable, interface, start, next_port: FIRST_PORT }
    }

    /// Returns the cable.
    pub fn cable(&mut self) -> &mut Cable {
        &mut self.cable
    }

    /// Takes the host off its cable. Its connections end without a word.
    #[must_use]
    pub fn vanish(self) -> Cable {
        self.cable
    }

    /// Asks for `/` until the guest answers: its stack runs before the program listens.
    ///
    /// # Panics
    ///
    /// It does not answer, or with an error.
    pub fn wait_until_serving(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        let answer = loop {
            match self.get("/") {
                Err(error) if error == REFUSED && Instant::now() < deadline => thread::sleep(PAUSE),
                answer => break answer,
            }
        };
        let answer = answer.unwrap_or_else(|error| panic!("the guest does not serve: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// Asks the guest's port 80 for `path` on a connection of its own and returns all that it sent.
    ///
    /// # Errors
    ///
    /// It refuses the connection, or does not answer in time.
    pub fn get(&mut self, path: &str) -> Result<String, String> {
        let mut connection = self.connect(80)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n");
        self.send(&mut connection, request.as_bytes())?;
        let mut answer = Vec::new();
        let is_whole = self.until(&mut connection, |socket| {
            while socket.can_recv() {
                let taken = socket.recv(|bytes| (bytes.len(), answer.extend_from_slice(bytes)));
                taken.map_err(|error| error.to_string())?;
            }
            Ok(!socket.may_recv())
        });
        is_whole.map_err(|error| format!("{error} after {} bytes of the answer", answer.len()))?;
        self.close(connection);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Opens a connection to a port of the guest.
    ///
    /// # Errors
    ///
    /// It refuses, or does not answer in time.
    pub fn connect(&mut self, port: u16) -> Result<Connection, String> {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        let local = self.next_port;
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        socket
            .connect(self.interface.context(), (GUEST.ip, port), local)
            .map_err(|error| error.to_string())?;
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        let mut connection = Connection { sockets, handle };
        self.until(&mut connection, |socket| match socket.state() {
            tcp::State::Closed => Err(REFUSED.to_owned()),
            state => Ok(state == tcp::State::Established),
        })?;
        Ok(connection)
    }

    /// Sends bytes, which must fit into one buffer.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn send(&mut self, connection: &mut Connection, bytes: &[u8]) -> Result<(), String> {
        let mut left = bytes;
        self.until(connection, |socket| {
            let sent = socket.send_slice(left).map_err(|error| error.to_string())?;
            left = &left[sent..];
            Ok(left.is_empty() && socket.send_queue() == 0)
        })
    }

    /// Waits until `bytes` have arrived, and leaves them.
    ///
    /// # Errors
    ///
    /// They do not arrive in time.
    pub fn wait_for_bytes(&mut self, connection: &mut Connection, bytes: usize) -> Result<(), String> {
        self.until(connection, |socket| Ok(socket.recv_queue() >= bytes))
    }

    fn close(&mut self, mut connection: Connection) {
        let socket = connection.sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
        socket.close();
        // Only a courtesy to the guest: what comes of it is not looked at.
        drop(self.until(&mut connection, |socket| {
            Ok(matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait))
        }));
    }

    /// Lets the stack work until `is_done`.
    fn until(
        &mut self,
        connection: &mut Connection,
        mut is_done: impl FnMut(&mut tcp::Socket<'static>) -> Result<bool, String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            self.interface.poll(self.now(), &mut self.cable, &mut connection.sockets);
            if is_done(connection.sockets.get_mut(connection.handle))? {
                return Ok(());
            }
            self.interface.poll(self.now(), &mut self.cable, &mut connection.sockets);
            if Instant::now() > deadline {
                return Err("no answer".to_owned());
            }
            let delay = self.interface.poll_delay(self.now(), &connection.sockets);
            let delay = delay.map_or(LONGEST_SLEEP, |delay| LONGEST_SLEEP.min(delay.into()));
            if let Some(frame) = self.cable.receive(delay) {
                self.cable.put_back(frame);
            }
        }
    }

    fn now(&self) -> StackInstant {
        let elapsed = i64::try_from(self.start.elapsed().as_micros());
        StackInstant::from_micros(elapsed.expect("a test does not run for ages"))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

//! The other end of a guest's network cable, held by the test: it sees each frame and can send any.
//!
//! QEMU connects to a unix socket and sends each frame with its length before it. No rights are needed and no frame is
//! lost on the way, so what the guest was sent is what it got. On top of the cable stands a host with a network stack
//! of its own, which asks the guest for a page as any client would.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use runner::{CommandLine, Machine, MachineConfig, Network};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use tempfile::TempDir;

use crate::frame::{Ends, arp_reply};
use crate::namespace::{GUEST, HOST};

/// Hardware address of the host.
pub const HARDWARE_ADDRESS: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x01]);
/// Longest wait for QEMU to plug in, or for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a question is asked again.
const REPEAT: Duration = Duration::from_millis(200);
/// Longest frame that QEMU sends or takes (`NET_BUFSIZE`).
const LONGEST_FRAME: usize = 68 << 10;
/// First port of the host's own connections.
const FIRST_PORT: u16 = 49_152;
/// What is told when a connection is refused.
const REFUSED: &str = "refused";
const BUFFER: usize = 64 << 10;

/// The end of a cable.
pub struct Cable {
    stream: UnixStream,
    arrived: Receiver<Vec<u8>>,
    count: Arc<AtomicUsize>,
    seen: VecDeque<Vec<u8>>,
}

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

/// Starts `config` with its network card on a cable and the guest's address fixed.
///
/// # Panics
///
/// The machine does not start.
#[must_use]
pub fn start(mut config: MachineConfig) -> (Machine, Cable) {
    let directory = TempDir::new().expect("the host has a directory for temporary files");
    let path: PathBuf = directory.path().join("cable");
    let listener = UnixListener::bind(&path).expect("a fresh directory takes a socket");
    config.network = Network::Stream(path);
    let line = std::mem::replace(&mut config.command_line, CommandLine::new());
    config.command_line = line.option("net.ip", GUEST).option("net.gw", HOST);
    let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
    (machine, Cable::new(accept(&listener)))
}

/// Waits for QEMU to connect, but not for ever.
fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).expect("a socket can be told not to block");
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("a socket can be told to block");
                return stream;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("qemu cannot plug in: {error}"),
        }
        assert!(Instant::now() < deadline, "qemu does not plug in");
        thread::sleep(Duration::from_millis(1));
    }
}

impl Cable {
    fn new(stream: UnixStream) -> Self {
        stream.set_write_timeout(Some(TIMEOUT)).expect("a time limit above zero is taken");
        let (sender, arrived) = channel();
        let count = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&count);
        let mut reader = BufReader::new(stream.try_clone().expect("the process may have more descriptors"));
        // It ends with QEMU, or when nobody listens any more.
        thread::spawn(move || {
            while let Ok(frame) = read_frame(&mut reader) {
                counter.fetch_add(1, Ordering::Relaxed);
                if sender.send(frame).is_err() {
                    break;
                }
            }
        });
        Self { stream, arrived, count, seen: VecDeque::new() }
    }

    /// Sends a frame.
    ///
    /// # Panics
    ///
    /// The machine is gone, or does not take it.
    pub fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("a frame is short");
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.stream.write_all(&bytes).unwrap_or_else(|error| panic!("the machine takes no frames: {error}"));
    }

    /// Returns how many frames the guest has sent.
    #[must_use]
    pub fn frames_from_guest(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits at most `timeout` for a frame.
    pub fn receive(&mut self, timeout: Duration) -> Option<Vec<u8>> {
        self.seen.pop_front().or_else(|| self.arrived.recv_timeout(timeout).ok())
    }

    /// Waits at most `timeout` for a frame of which `choose` makes something; others are dropped.
    pub fn wait_for<T>(
        &mut self,
        timeout: Duration,
        mut choose: impl FnMut(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        loop {
            let frame = self.receive(deadline.saturating_duration_since(Instant::now()))?;
            if let Some(chosen) = choose(&frame) {
                return Some(chosen);
            }
        }
    }

    /// Asks for the guest's hardware address until it is told. An answer means that the guest has seen all frames
    /// that were sent before.
    ///
    /// # Panics
    ///
    /// The guest does not answer.
    pub fn find_guest(&mut self) -> Ends {
        let mut ends = Ends {
            source: HARDWARE_ADDRESS,
            source_ip: HOST,
            destination: EthernetAddress::BROADCAST,
            destination_ip: GUEST.ip,
        };
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            self.send(&ends.arp_request());
            let answer = self.wait_for(REPEAT, |frame| arp_reply(frame).filter(|(ip, _)| *ip == GUEST.ip));
            if let Some((_, address)) = answer {
                ends.destination = address;
                return ends;
            }
        }
        panic!("the guest does not tell its hardware address");
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable").finish_non_exhaustive()
    }
}

fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
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
                Err(error) if error == REFUSED && Instant::now() < deadline => thread::sleep(REPEAT / 10),
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
            let delay = delay.map_or(REPEAT, |delay| REPEAT.min(delay.into()));
            if let Some(frame) = self.cable.receive(delay) {
                self.cable.seen.push_front(frame);
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

/// A frame on its way to the stack.
#[derive(Debug)]
pub struct Incoming(Vec<u8>);

/// The right to send a frame.
#[derive(Debug)]
pub struct Outgoing<'a>(&'a mut UnixStream);

impl Device for Cable {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: StackInstant) -> Option<(Incoming, Outgoing<'_>)> {
        let frame = self.seen.pop_front().or_else(|| self.arrived.try_recv().ok())?;
        Some((Incoming(frame), Outgoing(&mut self.stream)))
    }

    fn transmit(&mut self, _: StackInstant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.stream))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut bytes = u32::try_from(length).expect("a frame is short").to_be_bytes().to_vec();
        bytes.resize(4 + length, 0);
        let result = fill(&mut bytes[4..]);
        self.0.write_all(&bytes).unwrap_or_else(|error| panic!("the machine takes no frames: {error}"));
        result
    }
}

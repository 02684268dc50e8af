//! The other end of a guest's network cable, held by the test: it sees each frame and can send any.
//!
//! QEMU connects to a unix socket and sends each frame with its length before it. No rights are needed and no frame is
//! lost on the way, so what the guest was sent is what it got. The cable is a device of `smoltcp`, too.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use runner::{CommandLine, Machine, MachineConfig, Network};
use stock_smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use stock_smoltcp::time::Instant as StackInstant;
use stock_smoltcp::wire::EthernetAddress;
use tempfile::TempDir;

use crate::frame::{Ends, arp_reply};
use crate::impairment::{PATIENCE, Sink, Source};
use crate::namespace::{GUEST, HOST};

/// Hardware address of the host.
pub const HARDWARE_ADDRESS: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x01]);
/// Longest wait for QEMU to plug in, or for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How often a question is asked again.
const REPEAT: Duration = Duration::from_millis(200);
/// Longest frame that QEMU sends or takes (`NET_BUFSIZE`).
const LONGEST_FRAME: usize = 68 << 10;
/// Longest frame that the host sends, without the checksum at its end.
const MTU: usize = 1514;

/// The end of a cable.
pub struct Cable {
    stream: UnixStream,
    arrived: Receiver<Vec<u8>>,
    count: Arc<AtomicUsize>,
    seen: VecDeque<Vec<u8>>,
}

/// The frames that come out of a cable.
#[derive(Debug)]
pub struct FromGuest(Receiver<Vec<u8>>);

/// The way into a cable.
#[derive(Debug)]
pub struct ToGuest(UnixStream);

/// A frame on its way to the stack.
#[derive(Debug)]
pub struct Incoming(Vec<u8>);

/// The right to send a frame.
#[derive(Debug)]
pub struct Outgoing<'a>(&'a mut UnixStream);

/// Starts `config` with its network card on a cable and the guest's address fixed.
///
/// # Panics
///
/// The machine does not start.
#[must_use]
pub fn start(mut config: MachineConfig) -> (Machine, Cable) {
    let line = std::mem::replace(&mut config.command_line, CommandLine::new());
    config.command_line = line.option("net.ip", GUEST).option("net.gw", HOST);
    plug_in(config)
}

/// Starts `config` with its network card on a cable and its command line as it stands.
///
/// # Panics
///
/// The machine does not start.
#[must_use]
pub fn plug_in(mut config: MachineConfig) -> (Machine, Cable) {
    let directory = TempDir::new().expect("the host has a directory for temporary files");
    let path: PathBuf = directory.path().join("cable");
    let listener = UnixListener::bind(&path).expect("a fresh directory takes a socket");
    config.network = Network::Stream(path);
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
        self.stream
            .write_all(&with_length(frame))
            .unwrap_or_else(|error| panic!("the machine takes no frames: {error}"));
    }

    /// Returns the two directions.
    #[must_use]
    pub fn split(self) -> (FromGuest, ToGuest) {
        (FromGuest(self.arrived), ToGuest(self.stream))
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

    /// Puts a frame back, to be received next.
    pub fn put_back(&mut self, frame: Vec<u8>) {
        self.seen.push_front(frame);
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

impl Source for FromGuest {
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(frame) => Ok(Some(frame)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Sink for ToGuest {
    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.0.write_all(&with_length(frame))
    }
}

/// Returns a frame as QEMU wants it.
fn with_length(frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).expect("a frame is short");
    [&length.to_be_bytes(), frame].concat()
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
        capabilities.max_transmission_unit = MTU;
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

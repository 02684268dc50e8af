//! One run of one workload on one guest: starts the guest, drives the load, reads the figures.
//!
//! Instructions and times are never taken from the same machine: counting costs QEMU time. For instructions the load
//! is a fixed number of operations on connections that are open before; for times it runs as long as is said.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::counter::{Block, Count, Detail};
use super::cpu_time::{CpuTime, resident_bytes};
use super::figure::{Figure, Figures};
use super::guest::{GuestError, Guests, Instrument, Kind, MEMORY_MIB, Program, Running, Service};
use super::load::{
    Acknowledgement, Direction, Exchange, Load, Request, Until, await_first_byte, connect_and_close,
    exchange_datagrams, receive_packets, send_packets, transfer, wrk,
};
use super::workload::Workload;

/// Requests under way at once over many connections.
const UNDER_WAY: usize = 32;
/// Bytes of a datagram.
const DATAGRAM: usize = 64;
/// Operations before counting or timing starts, as a share of those that count.
const WARM_UP_SHARE: u64 = 20;
/// How long a guest is left alone after a load, so that connections end while it is there to answer.
const SETTLING: Duration = Duration::from_millis(100);
/// The least memory that QEMU's firmware runs with, in MiB.
const LEAST_MEMORY_MIB: u64 = 2;
/// How long a guest with little memory may take until it serves.
const SCARCITY_PATIENCE: Duration = Duration::from_secs(20);
/// Open files besides the connections.
const OTHER_FILES: u64 = 64;

/// Why a run gave no figures.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeasureError {
    /// The guest.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// The client.
    #[error("{cause}{}", last_line(console))]
    Client {
        /// What went wrong.
        cause: io::Error,
        /// What the guest printed.
        console: String,
    },
    /// The host.
    #[error(transparent)]
    Host(#[from] io::Error),
}

impl From<super::counter::CounterError> for MeasureError {
    fn from(error: super::counter::CounterError) -> Self {
        Self::Guest(error.into())
    }
}

fn last_line(text: &str) -> String {
    match text.trim().lines().last() {
        Some(line) => format!("; the guest's last line was: {line}"),
        None => String::new(),
    }
}

/// What a profile is made of.
#[derive(Debug)]
pub(super) struct Sampled {
    pub(super) before: Vec<Block>,
    pub(super) after: Vec<Block>,
    pub(super) operations: f64,
}

/// Takes all figures of `workload` on `kind`.
pub(super) fn measure(
    guests: &Guests,
    workload: Workload,
    kind: Kind,
    time: Duration,
) -> Result<Figures, MeasureError> {
    match workload {
        Workload::Boot => boot(guests, kind),
        Workload::Memory => memory(guests, kind),
        Workload::LeastMemory => least_memory(guests, kind),
        Workload::Image => image(guests, kind),
        _ => {
            let mut figures = counted(guests, workload, kind)?;
            figures.extend(timed(guests, workload, kind, time)?);
            Ok(figures)
        }
    }
}

/// Counts `workload` by place, on our guest.
pub(super) fn sample(guests: &Guests, workload: Workload) -> Result<Sampled, MeasureError> {
    let mut guest = guests.start(Kind::Ours, workload.program(), Instrument::Counter(Detail::Blocks))?;
    if workload == Workload::Boot {
        first_byte(&guest)?;
        let after = guest.counter()?.read_blocks()?;
        return Ok(Sampled { before: Vec::new(), after, operations: 1.0 });
    }
    guest.wait_until_serving()?;
    let mut client = Client::open(workload, &guest)?;
    client.warm_up(workload, &guest)?;
    let before = guest.counter()?.read_blocks()?;
    let load = client.run(Until::Operations(workload.operations()), &guest)?;
    let after = guest.counter()?.read_blocks()?;
    Ok(Sampled { before, after, operations: load.operations })
}

fn counted(guests: &Guests, workload: Workload, kind: Kind) -> Result<Figures, MeasureError> {
    let mut guest = guests.start(kind, workload.program(), Instrument::Counter(Detail::Totals))?;
    guest.wait_until_serving()?;
    let mut client = Client::open(workload, &guest)?;
    client.check_answer(workload, guests)?;
    client.warm_up(workload, &guest)?;
    let before = guest.counter()?.read()?;
    let load = client.run(Until::Operations(workload.operations()), &guest)?;
    let count = guest.counter()?.read()?.since(before);
    client.leave();
    Ok(instructions(count, load.operations))
}

#[expect(clippy::cast_precision_loss, reason = "a figure of a few digits is made of it")]
fn instructions(count: Count, operations: f64) -> Figures {
    Figures::from([
        (Figure::Instructions, count.total() as f64 / operations),
        (Figure::KernelInstructions, count.upper as f64 / operations),
    ])
}

fn timed(guests: &Guests, workload: Workload, kind: Kind, time: Duration) -> Result<Figures, MeasureError> {
    let guest = guests.start(kind, workload.program(), Instrument::Nothing)?;
    guest.wait_until_serving()?;
    let mut client = Client::open_timed(workload, &guest)?;
    client.warm_up(workload, &guest)?;
    let before = CpuTime::of(guest.process_id())?;
    let load = client.run(Until::Elapsed(time), &guest)?;
    let spent = CpuTime::of(guest.process_id())?.since(before);
    client.leave();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / load.operations;
    let mut figures = Figures::from([
        (Figure::Rate, load.operations / load.elapsed.as_secs_f64()),
        (Figure::CpuTime, each(spent.vcpu + spent.io)),
        (Figure::VcpuTime, each(spent.vcpu)),
        (Figure::IoTime, each(spent.io)),
    ]);
    if let Some(latency) = load.latency {
        figures.insert(Figure::Median, latency.median.as_secs_f64() * 1e6);
        figures.insert(Figure::Tail, latency.tail.as_secs_f64() * 1e6);
    }
    Ok(figures)
}

/// Times the start on one machine and counts it on another.
fn boot(guests: &Guests, kind: Kind) -> Result<Figures, MeasureError> {
    let start = Instant::now();
    let guest = guests.start(kind, Program::Http, Instrument::Nothing)?;
    let time = await_first_byte(guest.address(Service::Http)?, start)?;
    drop(guest);
    let mut guest = guests.start(kind, Program::Http, Instrument::Counter(Detail::Totals))?;
    first_byte(&guest)?;
    let mut figures = instructions(guest.counter()?.read()?, 1.0);
    // Boot code runs in the lower half: the halves say nothing here.
    figures.remove(&Figure::KernelInstructions);
    figures.insert(Figure::Start, time.as_secs_f64() * 1e3);
    Ok(figures)
}

/// Asks once, when the guest says that it serves.
fn first_byte(guest: &Running) -> Result<(), MeasureError> {
    guest.wait_until_serving()?;
    ask_once(guest)
}

fn ask_once(guest: &Running) -> Result<(), MeasureError> {
    Exchange::open(guest.address(Service::Http)?, 1, &Request::Http)
        .map(drop)
        .map_err(|cause| failed(cause, guest))
}

#[expect(clippy::cast_precision_loss, reason = "a figure of a few digits is made of it")]
fn memory(guests: &Guests, kind: Kind) -> Result<Figures, MeasureError> {
    let guest = guests.start(kind, Program::Http, Instrument::Nothing)?;
    guest.wait_until_serving()?;
    let workload = Workload::Http(UNDER_WAY);
    let mut client = Client::open(workload, &guest)?;
    client.run(Until::Operations(workload.operations()), &guest)?;
    let bytes = resident_bytes(guest.process_id())?;
    Ok(Figures::from([(Figure::Memory, bytes as f64 / 1e6)]))
}

#[expect(clippy::cast_precision_loss, reason = "a figure of a few digits is made of it")]
fn image(guests: &Guests, kind: Kind) -> Result<Figures, MeasureError> {
    let bytes = match kind {
        Kind::Ours => {
            let image = guests.images.ours(Program::Http)?;
            std::fs::metadata(&image.path)?.len()
        }
        Kind::Linux => guests.images.linux()?.size,
    };
    Ok(Figures::from([(Figure::Size, bytes as f64 / 1024.0)]))
}

/// Halves the amounts in question until one is left. A guest without memory may say nothing, or end.
#[expect(clippy::cast_precision_loss, reason = "it is at most some hundred")]
fn least_memory(guests: &Guests, kind: Kind) -> Result<Figures, MeasureError> {
    let (mut too_little, mut enough) = (LEAST_MEMORY_MIB - 1, MEMORY_MIB);
    while enough - too_little > 1 {
        let middle = u64::midpoint(too_little, enough);
        match serves(guests, kind, middle) {
            true => enough = middle,
            false => too_little = middle,
        }
    }
    Ok(Figures::from([(Figure::LeastMemory, enough as f64)]))
}

fn serves(guests: &Guests, kind: Kind, memory_mib: u64) -> bool {
    let served = || -> Result<(), MeasureError> {
        let guest = guests.start_with_memory(kind, Program::Http, Instrument::Nothing, memory_mib)?;
        guest.wait_until_serving_for(SCARCITY_PATIENCE)?;
        ask_once(&guest)
    };
    served().is_ok()
}

/// A client that is connected and drives a load when it is told to.
enum Client {
    Exchange(Exchange, usize),
    Wrk(SocketAddr, usize),
    Datagrams(SocketAddr),
    Connect(SocketAddr),
    Bulk(SocketAddr, Direction),
    PacketsIn { sink: SocketAddr, figures: SocketAddr },
    PacketsOut(SocketAddr),
}

impl Client {
    /// Opens the client that makes a fixed number of operations.
    fn open(workload: Workload, guest: &Running) -> Result<Self, MeasureError> {
        Self::try_open(workload, guest).map_err(|cause| failed(cause, guest))
    }

    /// Opens the client that runs for a time: wrk for HTTP.
    fn open_timed(workload: Workload, guest: &Running) -> Result<Self, MeasureError> {
        match workload {
            Workload::Http(connections) => Ok(Self::Wrk(guest.address(Service::Http)?, connections)),
            _ => Self::open(workload, guest),
        }
    }

    fn try_open(workload: Workload, guest: &Running) -> io::Result<Self> {
        let address = |service| guest.address(service);
        let exchange = |service, count, request| {
            allow_files(count)?;
            Exchange::open(guest.address(service)?, count, &request)
        };
        Ok(match workload {
            Workload::Http(count) => Self::Exchange(exchange(Service::Http, count, Request::Http)?, count),
            Workload::Connections(count) => {
                let exchange = exchange(Service::Http, count, Request::Http)?;
                Self::Exchange(exchange.acknowledging(Acknowledgement::AtOnce), UNDER_WAY)
            }
            Workload::TcpRoundTrip => Self::Exchange(exchange(Service::Echo, 1, Request::Echo(1))?, 1),
            Workload::UdpRoundTrip => Self::Datagrams(address(Service::DatagramEcho)?),
            Workload::Connect => Self::Connect(address(Service::Close)?),
            Workload::BulkIn => Self::Bulk(address(Service::Sink)?, Direction::In),
            Workload::BulkOut => Self::Bulk(address(Service::Source)?, Direction::Out),
            Workload::PacketsIn => {
                Self::PacketsIn { sink: address(Service::DatagramSink)?, figures: address(Service::Figures)? }
            }
            Workload::PacketsOut => Self::PacketsOut(address(Service::DatagramSource)?),
            Workload::Boot | Workload::Memory | Workload::LeastMemory | Workload::Image => {
                return Err(io::Error::other("this workload has no client"));
            }
        })
    }

    /// Makes so many operations that the guest has met everything once. wrk opens its own connections.
    fn warm_up(&mut self, workload: Workload, guest: &Running) -> Result<(), MeasureError> {
        if matches!(self, Self::Wrk(..)) {
            return Ok(());
        }
        let operations = (workload.operations() / WARM_UP_SHARE).max(1);
        self.run(Until::Operations(operations), guest).map(drop)
    }

    fn run(&mut self, until: Until, guest: &Running) -> Result<Load, MeasureError> {
        self.try_run(until).map_err(|cause| failed(cause, guest))
    }

    /// Makes sure that both guests answer HTTP with as many bytes.
    fn check_answer(&self, workload: Workload, guests: &Guests) -> io::Result<()> {
        let Self::Exchange(exchange, _) = self else { return Ok(()) };
        let length = exchange.answer_length();
        if workload.program() == Program::Netbench {
            return Ok(());
        }
        match *guests.answer_length.get_or_init(|| length) {
            other if other == length => Ok(()),
            other => {
                Err(io::Error::other(format!("this guest answers {length} bytes and the other {other}")))
            }
        }
    }

    /// Closes the connections and waits until the guest has seen it.
    fn leave(self) {
        drop(self);
        thread::sleep(SETTLING);
    }

    fn try_run(&mut self, until: Until) -> io::Result<Load> {
        match (self, until) {
            (Self::Exchange(exchange, under_way), _) => exchange.run(until, *under_way),
            (Self::Wrk(address, connections), Until::Elapsed(time)) => {
                allow_files(*connections)?;
                wrk(*address, *connections, time)
            }
            (Self::Wrk(..), Until::Operations(_)) => Err(io::Error::other("wrk makes no fixed number")),
            (Self::Datagrams(address), _) => exchange_datagrams(*address, DATAGRAM, until),
            (Self::Connect(address), _) => connect_and_close(*address, until),
            (Self::Bulk(address, direction), _) => transfer(*address, *direction, until),
            (Self::PacketsIn { sink, figures }, _) => send_packets(*sink, *figures, DATAGRAM, until),
            (Self::PacketsOut(address), _) => receive_packets(*address, DATAGRAM, until),
        }
    }
}

fn failed(cause: io::Error, guest: &Running) -> MeasureError {
    MeasureError::Client { cause, console: guest.console() }
}

/// Raises the limit of open files so that so many connections fit.
fn allow_files(connections: usize) -> io::Result<()> {
    let needed = connections as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = match limit.maximum {
        Some(most) if most < needed => Some(needed),
        maximum => maximum,
    };
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(|_| {
        io::Error::other(format!(
            "{connections} connections take a limit of {needed} open files; raise `ulimit -n`"
        ))
    })
}

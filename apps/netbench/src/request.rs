//! What the program was asked to do.

use crate::protocol::{BASE_PORT, MOST_DATAGRAM_BYTES, Service};
use core::fmt;
use core::str::FromStr;
use libos::env::{OptionError, Options};
use libos::string::String;
use libos::time::{Duration, Instant};

/// How the program is used.
pub(crate) const USAGE: &str = "usage: netbench [server] [--port N]
       netbench client WORKLOAD HOST[:PORT] [--count N] [--seconds S] [--size BYTES]
       workloads: tcp-rr udp-rr tcp-send tcp-receive connect udp-send udp-receive";

/// What to do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Serve, from this port on.
    Serve(u16),
    /// Measure.
    Measure(Measurement),
}

/// What to measure.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) workload: Workload,
    /// `HOST` or `HOST:PORT`.
    pub(crate) server: String,
    /// Bytes of one message.
    pub(crate) size: usize,
    pub(crate) limit: Limit,
}

/// When it is enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Operations, or bytes of a stream.
    pub(crate) count: u64,
    time: Option<Duration>,
}

/// The workloads, by the name that the user gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Workload {
    TcpRr,
    UdpRr,
    TcpSend,
    TcpReceive,
    Connect,
    UdpSend,
    UdpReceive,
}

/// Why a request makes no sense.
#[derive(Debug)]
pub(crate) enum RequestError {
    Option(OptionError),
    NoServer,
    NoWorkload(String),
    NoSuchSize(usize),
    NoPorts(u16),
}

impl Request {
    /// Reads the program's arguments.
    pub(crate) fn from_args() -> Result<Self, RequestError> {
        let mut options = Options::from_args();
        let port = options.value("--port")?;
        let count = options.value("--count")?;
        let seconds: Option<u32> = options.value("--seconds")?;
        let size = options.value("--size")?;
        let request = match options.word().as_deref() {
            None | Some("server") => Self::Serve(base_port(port)?),
            Some("client") => {
                let workload = options.word().unwrap_or_default().parse::<Workload>()?;
                let server = options.word().ok_or(RequestError::NoServer)?;
                let size = checked_size(size, workload)?;
                Self::Measure(Measurement { workload, server, size, limit: Limit::new(count, seconds) })
            }
            Some(word) => return Err(OptionError::NotUnderstood(word.into()).into()),
        };
        options.finish()?;
        Ok(request)
    }
}

impl Limit {
    fn new(count: Option<u64>, seconds: Option<u32>) -> Self {
        let seconds = if count.is_none() { seconds.or(Some(1)) } else { seconds };
        let time = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        Self { count: count.unwrap_or(u64::MAX), time }
    }

    /// Returns whether the time is over for what began at `start`.
    pub(crate) fn is_over(&self, start: Instant) -> bool {
        self.time.is_some_and(|time| start.elapsed() >= time)
    }

    /// Returns whether more may be done, after `done` since `start`.
    pub(crate) fn allows(&self, done: u64, start: Instant) -> bool {
        done < self.count && !self.is_over(start)
    }
}

impl Workload {
    const ALL: [Self; 7] = [
        Self::TcpRr,
        Self::UdpRr,
        Self::TcpSend,
        Self::TcpReceive,
        Self::Connect,
        Self::UdpSend,
        Self::UdpReceive,
    ];

    /// Returns what the user calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TcpRr => "tcp-rr",
            Self::UdpRr => "udp-rr",
            Self::TcpSend => "tcp-send",
            Self::TcpReceive => "tcp-receive",
            Self::Connect => "connect",
            Self::UdpSend => "udp-send",
            Self::UdpReceive => "udp-receive",
        }
    }

    /// Returns the bytes of one message: the usual, the least, the most.
    const fn sizes(self) -> (usize, usize, usize) {
        match self {
            Self::TcpRr => (1, 1, 1 << 20),
            Self::UdpRr | Self::UdpSend => (64, 0, MOST_DATAGRAM_BYTES),
            Self::UdpReceive => (64, crate::protocol::NUMBER_BYTES, MOST_DATAGRAM_BYTES),
            Self::TcpSend | Self::TcpReceive | Self::Connect => (0, 0, 0),
        }
    }
}

impl FromStr for Workload {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        let workload = Self::ALL.into_iter().find(|workload| workload.name() == text);
        workload.ok_or_else(|| RequestError::NoWorkload(text.into()))
    }
}

fn base_port(port: Option<u16>) -> Result<u16, RequestError> {
    let base = port.unwrap_or(BASE_PORT);
    let fits = base != 0 && Service::Figures.port(base).is_some();
    if fits { Ok(base) } else { Err(RequestError::NoPorts(base)) }
}

fn checked_size(size: Option<usize>, workload: Workload) -> Result<usize, RequestError> {
    let (usual, least, most) = workload.sizes();
    let size = size.unwrap_or(usual);
    if (least..=most).contains(&size) { Ok(size) } else { Err(RequestError::NoSuchSize(size)) }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::NoServer => f.write_str("the server to measure is missing"),
            Self::NoWorkload(name) if name.is_empty() => f.write_str("the workload is missing"),
            Self::NoWorkload(name) => write!(f, "there is no workload {name}"),
            Self::NoSuchSize(size) => write!(f, "messages of this workload cannot have {size} bytes"),
            Self::NoPorts(base) => write!(f, "there are no five ports from {base} on"),
        }
    }
}

impl core::error::Error for RequestError {}

impl From<OptionError> for RequestError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

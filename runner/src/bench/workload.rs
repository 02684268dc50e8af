//! What is measured: the workloads, what one operation of each is, and what is to be reached.

use std::fmt;
use std::str::FromStr;

use super::BenchError;
use super::figure::Figure;
use super::guest::Program;

/// Names of all workloads, in the order of the table.
pub const NAMES: [&str; 18] = [
    "boot",
    "http-c1",
    "http-c32",
    "http-c256",
    "connections-1",
    "connections-32",
    "connections-1000",
    "connections-10000",
    "tcp-rr",
    "udp-rr",
    "connect",
    "bulk-in",
    "bulk-out",
    "packets-in",
    "packets-out",
    "memory",
    "least-memory",
    "image",
];

/// Something that both guests do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Workload {
    /// From the start of QEMU to the first served byte.
    Boot,
    /// HTTP requests on so many connections, all busy.
    Http(usize),
    /// HTTP requests on so many connections, at most 32 of them busy at once. Answers are acknowledged at once.
    Connections(usize),
    /// One byte there and back by TCP.
    TcpRoundTrip,
    /// 64 bytes there and back by UDP.
    UdpRoundTrip,
    /// A TCP connection opened and closed.
    Connect,
    /// A stream of bytes into the guest.
    BulkIn,
    /// A stream of bytes out of the guest.
    BulkOut,
    /// Datagrams of 64 bytes into the guest.
    PacketsIn,
    /// Datagrams of 64 bytes out of the guest.
    PacketsOut,
    /// QEMU's resident memory after a load.
    Memory,
    /// The least memory of the machine with which a guest serves.
    LeastMemory,
    /// The size of what is booted.
    Image,
}

/// What a figure is to reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Target {
    /// At most so much.
    AtMost(f64),
    /// At most so many times Linux's.
    RatioAtMost(f64),
    /// At least so many times Linux's.
    RatioAtLeast(f64),
    /// At most so many times our own with 32 connections.
    SlopeAtMost(f64),
}

impl Workload {
    /// Returns all workloads.
    #[must_use]
    pub fn all() -> Vec<Self> {
        NAMES.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// Returns what one operation is called.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Http(_) | Self::Connections(_) => "request",
            Self::TcpRoundTrip | Self::UdpRoundTrip => "round trip",
            Self::Connect => "connection",
            Self::BulkIn | Self::BulkOut => "Mbit",
            Self::PacketsIn | Self::PacketsOut => "packet",
            Self::Memory | Self::LeastMemory | Self::Image => "guest",
        }
    }

    /// Returns how many operations are made while instructions are counted.
    pub(super) fn operations(self) -> u64 {
        match self {
            Self::Http(1) | Self::Connections(1) | Self::TcpRoundTrip | Self::UdpRoundTrip => 10_000,
            Self::Http(_) | Self::Connections(_) => 30_000,
            Self::Connect => 4000,
            Self::BulkIn | Self::BulkOut => 1000,
            Self::PacketsIn | Self::PacketsOut => 100_000,
            Self::Boot | Self::Memory | Self::LeastMemory | Self::Image => 1,
        }
    }

    /// Returns the program that serves it in our guest.
    pub(super) fn program(self) -> Program {
        match self {
            Self::Boot
            | Self::Http(_)
            | Self::Connections(_)
            | Self::Memory
            | Self::LeastMemory
            | Self::Image => Program::Http,
            Self::TcpRoundTrip
            | Self::UdpRoundTrip
            | Self::Connect
            | Self::BulkIn
            | Self::BulkOut
            | Self::PacketsIn
            | Self::PacketsOut => Program::Netbench,
        }
    }

    /// Returns what `figure` of it is to reach.
    pub(super) fn target(self, figure: Figure) -> Option<Target> {
        match (self, figure) {
            (Self::Boot, Figure::Start) => Some(Target::AtMost(80.0)),
            (Self::Boot, Figure::Instructions) => Some(Target::AtMost(3e6)),
            (Self::Http(32), Figure::Rate) => Some(Target::RatioAtLeast(3.0)),
            (Self::Http(32), Figure::Instructions) => Some(Target::AtMost(3500.0)),
            (Self::Http(32), Figure::CpuTime) => Some(Target::AtMost(25.0)),
            (Self::Http(1), Figure::Instructions) => Some(Target::AtMost(7000.0)),
            (Self::TcpRoundTrip, Figure::Instructions) => Some(Target::AtMost(6000.0)),
            (Self::UdpRoundTrip, Figure::Instructions) => Some(Target::AtMost(5000.0)),
            (Self::Connect, Figure::Instructions) => Some(Target::AtMost(20_000.0)),
            (Self::BulkIn | Self::BulkOut, Figure::CpuTime) => Some(Target::RatioAtMost(0.5)),
            (Self::Connections(1000 | 10_000), Figure::Instructions) => Some(Target::SlopeAtMost(1.1)),
            (Self::Memory, Figure::Memory) => Some(Target::AtMost(56.0)),
            (Self::LeastMemory, Figure::LeastMemory) => Some(Target::AtMost(6.0)),
            (Self::Image, Figure::Size) => Some(Target::AtMost(300.0)),
            _ => None,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http(count) => return write!(f, "http-c{count}"),
            Self::Connections(count) => return write!(f, "connections-{count}"),
            Self::Boot => "boot",
            Self::TcpRoundTrip => "tcp-rr",
            Self::UdpRoundTrip => "udp-rr",
            Self::Connect => "connect",
            Self::BulkIn => "bulk-in",
            Self::BulkOut => "bulk-out",
            Self::PacketsIn => "packets-in",
            Self::PacketsOut => "packets-out",
            Self::Memory => "memory",
            Self::LeastMemory => "least-memory",
            Self::Image => "image",
        })
    }
}

impl FromStr for Workload {
    type Err = BenchError;

    fn from_str(name: &str) -> Result<Self, BenchError> {
        let unknown = || BenchError::UnknownWorkload(name.to_owned());
        if !NAMES.contains(&name) {
            return Err(unknown());
        }
        let count = || name.rsplit(['-', 'c']).next()?.parse().ok();
        Ok(match name {
            "boot" => Self::Boot,
            "tcp-rr" => Self::TcpRoundTrip,
            "udp-rr" => Self::UdpRoundTrip,
            "connect" => Self::Connect,
            "bulk-in" => Self::BulkIn,
            "bulk-out" => Self::BulkOut,
            "packets-in" => Self::PacketsIn,
            "packets-out" => Self::PacketsOut,
            "memory" => Self::Memory,
            "least-memory" => Self::LeastMemory,
            "image" => Self::Image,
            _ if name.starts_with("http-c") => Self::Http(count().ok_or_else(unknown)?),
            _ => Self::Connections(count().ok_or_else(unknown)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_known_by_the_name_it_shows() {
        let all = Workload::all();
        assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), NAMES);
        assert_eq!("http-c256".parse::<Workload>().unwrap(), Workload::Http(256));
        let message = "http".parse::<Workload>().unwrap_err().to_string();
        assert!(message.contains("http-c32"), "{message}");
    }
}

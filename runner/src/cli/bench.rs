//! `cargo metaos bench`: measures our guest beside a stock Linux guest.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Outcome;
use crate::bench::{self, Choice, Kind, Offloads, Output, Plan, Workload};
use crate::install::{self, Need, Permission};

/// Most seconds that a timed load may be told to run.
const LONGEST_SECONDS: u64 = 600;

/// Options of `bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// What to measure: boot, http-c1, http-c32, http-c256 (wrk), connections-1 -32 -1000 -10000 (at most 32 busy),
    /// tcp-rr, udp-rr, connect, bulk-in, bulk-out, packets-in, packets-out, memory, least-memory, image; everything, unless
    /// something is named
    #[arg(value_name = "WORKLOAD", value_parser = parse_workload)]
    workloads: Vec<Workload>,
    /// How often each guest is measured, in turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pairs: u32,
    /// What to compare with
    #[arg(long, default_value = "linux")]
    against: OpponentWord,
    /// Whether the network card sums and segments, for both guests
    #[arg(long, default_value = "on")]
    offloads: OffloadsWord,
    /// Network: tap in a namespace of its own, QEMU's user network, or tap where it may be
    #[arg(long, default_value = "auto")]
    net: GroundWord,
    /// How long a timed load runs
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=LONGEST_SECONDS))]
    seconds: u64,
    /// Prints where our guest's instructions go, instead of a table
    #[arg(long)]
    profile: bool,
    /// Measures this image of ours instead of building one
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Writes the raw runs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws the figures
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Installs what is missing through the system's package manager
    #[arg(long)]
    install: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OpponentWord {
    /// Debian's cloud kernel with a static program
    Linux,
    /// Nobody
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OffloadsWord {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum GroundWord {
    Auto,
    Tap,
    User,
}

impl Bench {
    pub(super) fn execute(self) -> Outcome {
        let permission = if self.install { Permission::Granted } else { Permission::IfRoot };
        install::ensure(&[Need::Qemu, Need::Bench], permission)?;
        let record = bench::run(&self.plan())?;
        let has_problem = record.runs.iter().any(|run| run.problem.is_some());
        Ok(u8::from(has_problem))
    }

    fn plan(self) -> Plan {
        let workloads = if self.workloads.is_empty() { Workload::all() } else { self.workloads };
        Plan {
            workloads,
            pairs: self.pairs,
            guests: match self.against {
                OpponentWord::Linux => vec![Kind::Ours, Kind::Linux],
                OpponentWord::None => vec![Kind::Ours],
            },
            offloads: match self.offloads {
                OffloadsWord::On => Offloads::On,
                OffloadsWord::Off => Offloads::Off,
            },
            network: match self.net {
                GroundWord::Auto => Choice::Auto,
                GroundWord::Tap => Choice::Tap,
                GroundWord::User => Choice::User,
            },
            time: Duration::from_secs(self.seconds),
            output: if self.profile { Output::Profile } else { Output::Table },
            image: self.image,
            json: self.json,
            plot: self.plot,
        }
    }
}

fn parse_workload(name: &str) -> Result<Workload, String> {
    name.parse().map_err(|error: bench::BenchError| error.to_string())
}

//! What is read off a run: the figures, their units, and which way is better.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::workload::Workload;

/// One kind of figure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Guest instructions an operation.
    Instructions,
    /// Those of them in the upper half: the kernel's or nucleus's.
    KernelInstructions,
    /// CPU time of QEMU an operation, in microseconds.
    CpuTime,
    /// That of its CPU thread.
    VcpuTime,
    /// That of its other threads.
    IoTime,
    /// Operations a second.
    Rate,
    /// Median latency in microseconds.
    Median,
    /// The latency that 99 of 100 operations stay below, in microseconds.
    Tail,
    /// Start of QEMU to the first served byte, in milliseconds.
    Start,
    /// Resident memory of QEMU in megabytes.
    Memory,
    /// The least memory of the machine with which it serves, in MiB.
    LeastMemory,
    /// Size of what is booted in KiB.
    Size,
}

/// The figures of one run.
pub type Figures = BTreeMap<Figure, f64>;

/// Which way a figure is better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Better {
    /// Less is.
    Less,
    /// More is.
    More,
}

impl Figure {
    /// Names the figure with its unit, for a workload.
    #[must_use]
    pub fn label(self, workload: Workload) -> String {
        let unit = workload.unit();
        match self {
            Self::Instructions => format!("instructions / {unit}"),
            Self::KernelInstructions => "  of it kernel".to_owned(),
            Self::CpuTime => format!("QEMU CPU us / {unit}"),
            Self::VcpuTime => "  of it vCPU".to_owned(),
            Self::IoTime => "  of it I/O".to_owned(),
            Self::Rate => format!("{unit}s / s"),
            Self::Median => "p50 us".to_owned(),
            Self::Tail => "p99 us".to_owned(),
            Self::Start => "start to first byte, ms".to_owned(),
            Self::Memory => "QEMU resident, MB".to_owned(),
            Self::LeastMemory => "least -m, MiB".to_owned(),
            Self::Size => "size, KiB".to_owned(),
        }
    }

    /// Tells which way it is better.
    #[must_use]
    pub fn better(self) -> Better {
        if self == Self::Rate { Better::More } else { Better::Less }
    }

    /// Tells whether a winner is named: the parts of a figure are only shown, and latencies depend on how client and
    /// guest share the host's CPUs.
    #[must_use]
    pub fn is_judged(self) -> bool {
        !matches!(self, Self::KernelInstructions | Self::VcpuTime | Self::IoTime | Self::Median | Self::Tail)
    }
}

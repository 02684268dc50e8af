//! Measures our guest beside a stock Linux guest: `cargo metaos bench`.
//!
//! Both boot on the same machine with the same flags, one after the other in turn, and do the same work for the same
//! client. Two figures decide, because neither alone tells enough: guest instructions an operation, which [`counter`]
//! reads noise-free out of QEMU, and the CPU time that QEMU spends on an operation (`cpu_time`). A [`Workload`] says
//! what an operation is; `ground` is the network; `images` makes what the guests boot and
//! `guest` starts them; `load` are the clients; `session` takes the runs; [`record`], `table` and `plot` show them.

pub mod counter;
mod cpu_time;
pub mod figure;
mod ground;
mod guest;
mod images;
mod linux;
mod load;
mod measure;
mod plot;
mod profile;
mod progress;
pub mod record;
mod scratch;
mod session;
pub mod statistics;
mod table;
mod workload;

pub use ground::Choice;
pub use guest::{Kind, Offloads};
pub use linux::build_program as build_linux_program;
pub use session::{Output, Plan, run};
pub use workload::{NAMES, Workload};

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is no such workload.
    #[error("there is no workload `{0}`; choose of: {known}", known = NAMES.join(", "))]
    UnknownWorkload(String),
    /// The counter does not work.
    #[error(transparent)]
    Counter(#[from] counter::CounterError),
    /// The network asked for cannot be had.
    #[error(transparent)]
    Ground(#[from] ground::GroundError),
    /// A guest cannot be made.
    #[error(transparent)]
    Guest(#[from] guest::GuestError),
    /// A file cannot be written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the host said.
        cause: std::io::Error,
    },
    /// The plot cannot be drawn.
    #[error("the plot could not be drawn: {0}")]
    Plot(String),
    /// The host refuses something.
    #[error("the host refuses what the benchmark needs: {0}")]
    Host(#[from] std::io::Error),
}

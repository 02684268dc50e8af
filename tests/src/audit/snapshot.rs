//! A machine at one moment: registers and all of its memory.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use serde_json::json;

use super::qmp::{Qmp, QmpError};
use super::ram::Ram;
use super::registers::{Registers, RegistersError};
use super::saved::SavedCpu;

/// Most memory that is copied. Up to here it lies in one piece on every machine that is offered.
const MAX_MEMORY: u64 = 1 << 30;

/// How long saving may take, and how often its end is looked for.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// QEMU does not do what it is asked.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// Its registers read in another way.
    #[error(transparent)]
    Registers(#[from] RegistersError),
    /// The copy of the memory cannot be read.
    #[error("cannot read the copy of the machine's memory: {0}")]
    Copy(#[from] io::Error),
    /// The machine cannot be saved.
    #[error("qemu does not save the machine: {0}")]
    NotSaved(String),
    /// The machine has too much memory.
    #[error("the machine has {0} bytes of memory; audit one with at most 1 GiB")]
    TooLarge(u64),
}

/// Registers and memory of a machine.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Registers of CPU 0.
    pub registers: Registers,
    /// Its memory, device space left out.
    pub ram: Ram,
}

impl Snapshot {
    /// Stops the machine, copies registers and memory, and lets it go on.
    ///
    /// # Errors
    ///
    /// QEMU refuses, or the machine is too large.
    pub fn take(qmp: &mut Qmp) -> Result<Self, SnapshotError> {
        qmp.execute("stop", &json!({}))?;
        let snapshot = Self::of_stopped(qmp);
        qmp.execute("cont", &json!({}))?;
        snapshot
    }

    /// Copies registers and memory of a machine that stands still.
    ///
    /// # Errors
    ///
    /// QEMU refuses, or the machine is too large.
    pub fn of_stopped(qmp: &mut Qmp) -> Result<Self, SnapshotError> {
        let size = memory_size(qmp)?;
        let directory = tempfile::tempdir()?;
        let shown = qmp.monitor("info registers")?;
        let saved = saved_cpu(qmp, &directory.path().join("machine"))?;
        let path = directory.path().join("memory");
        qmp.execute("pmemsave", &json!({ "val": 0, "size": size, "filename": path }))?;
        Ok(Self { registers: Registers::parse(&shown, &saved)?, ram: Ram(fs::read(path)?) })
    }
}

fn memory_size(qmp: &mut Qmp) -> Result<u64, SnapshotError> {
    let summary = qmp.execute("query-memory-size-summary", &json!({}))?;
    let size = summary["base-memory"].as_u64().unwrap_or(0);
    if size > MAX_MEMORY { Err(SnapshotError::TooLarge(size)) } else { Ok(size) }
}

/// Lets QEMU save the machine as if it moved elsewhere; it can go on afterwards.
fn saved_cpu(qmp: &mut Qmp, path: &Path) -> Result<SavedCpu, SnapshotError> {
    qmp.execute("migrate", &json!({ "uri": format!("file:{}", path.display()) }))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = qmp.execute("query-migrate", &json!({}))?;
        match state["status"].as_str() {
            Some("completed") => break,
            Some("failed" | "cancelled") => return Err(SnapshotError::NotSaved(state.to_string())),
            _ if Instant::now() > deadline => return Err(SnapshotError::NotSaved(state.to_string())),
            _ => thread::sleep(POLL),
        }
    }
    SavedCpu::parse(&fs::read(path)?)
        .ok_or_else(|| SnapshotError::NotSaved("its state is laid out in another way".to_owned()))
}

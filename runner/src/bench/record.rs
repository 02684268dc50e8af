//! The raw runs as they are kept: JSON, with the settings they were taken under.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::BenchError;
use super::figure::{Figure, Figures};
use super::guest::Kind;
use super::statistics::{Summary, ratios};

/// What the runs were taken under.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Date and time, UTC.
    pub date: String,
    /// The host: kernel, CPU, number of CPUs.
    pub host: String,
    /// QEMU's version.
    pub qemu: String,
    /// QEMU's flags, the same for both guests.
    pub flags: Vec<String>,
    /// The network.
    pub network: String,
    /// Whether the network card offloads.
    pub offloads: String,
    /// The Linux guest's kernel and options; none: it was left out.
    pub linux: Option<String>,
    /// Pairs of runs.
    pub pairs: u32,
    /// What is to be known about the figures.
    pub notes: Vec<String>,
}

/// One run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Name of the workload.
    pub workload: String,
    /// The guest.
    pub guest: Kind,
    /// Number of the pair, from 0.
    pub pair: u32,
    /// What was read.
    pub figures: Figures,
    /// Why there are no figures.
    pub problem: Option<String>,
}

/// All of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// What the runs were taken under.
    pub settings: Settings,
    /// The runs in their order.
    pub runs: Vec<Run>,
}

impl Record {
    /// Writes the record to a file.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        fs::write(path, text + "\n").map_err(|cause| BenchError::File { path: path.to_owned(), cause })
    }

    /// Returns the names of the workloads, in their order.
    #[must_use]
    pub fn workloads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for run in &self.runs {
            if !names.contains(&run.workload.as_str()) {
                names.push(&run.workload);
            }
        }
        names
    }

    /// Returns the kinds of figures that a workload has.
    #[must_use]
    pub fn figures(&self, workload: &str) -> Vec<Figure> {
        let runs = self.runs.iter().filter(|run| run.workload == workload);
        let mut figures: Vec<Figure> = runs.flat_map(|run| run.figures.keys().copied()).collect();
        figures.sort_unstable();
        figures.dedup();
        figures
    }

    /// Summarises a figure over the runs.
    #[must_use]
    pub fn summary(&self, workload: &str, guest: Kind, figure: Figure) -> Option<Summary> {
        let values: Vec<f64> =
            (0..self.settings.pairs).filter_map(|pair| self.value(workload, guest, pair, figure)).collect();
        Summary::of(&values)
    }

    /// Summarises the ratios of the pairs, ours to Linux's.
    #[must_use]
    pub fn ratio(&self, workload: &str, figure: Figure) -> Option<Summary> {
        let value = |guest, pair| self.value(workload, guest, pair, figure);
        let pairs: Vec<_> = (0..self.settings.pairs)
            .map(|pair| (value(Kind::Ours, pair), value(Kind::Linux, pair)))
            .collect();
        ratios(&pairs)
    }

    /// Returns the first problem that a guest had with a workload.
    #[must_use]
    pub fn problem(&self, workload: &str, guest: Kind) -> Option<&str> {
        let mut runs = self.runs.iter().filter(|run| run.workload == workload && run.guest == guest);
        runs.find_map(|run| run.problem.as_deref())
    }

    fn value(&self, workload: &str, guest: Kind, pair: u32, figure: Figure) -> Option<f64> {
        let is_it = |run: &&Run| run.workload == workload && run.guest == guest && run.pair == pair;
        self.runs.iter().find(is_it)?.figures.get(&figure).copied()
    }
}

/// Returns the date and time now.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Describes this host.
pub(super) fn host() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let name = model.map_or("unknown CPU", |(_, name)| name);
    format!("Linux {}, {count} x {name}", kernel.trim())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn run(guest: Kind, pair: u32, value: f64) -> Run {
        let figures = Figures::from([(Figure::Instructions, value)]);
        Run { workload: "http-c1".to_owned(), guest, pair, figures, problem: None }
    }

    pub(in crate::bench) fn record() -> Record {
        let settings = Settings {
            date: now(),
            host: host(),
            qemu: "10.0".to_owned(),
            flags: vec!["-M".to_owned(), "q35".to_owned()],
            network: "tap".to_owned(),
            offloads: "on".to_owned(),
            linux: None,
            pairs: 2,
            notes: vec![],
        };
        let runs = vec![
            run(Kind::Ours, 0, 100.0),
            run(Kind::Linux, 0, 200.0),
            run(Kind::Ours, 1, 300.0),
            run(Kind::Linux, 1, 300.0),
        ];
        Record { settings, runs }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("runs.json");
        record().write(&path).unwrap();
        let read: Record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read, record());
    }

    #[test]
    fn figures_are_summarised_by_guest_and_by_pair() {
        let record = record();
        assert_eq!(record.summary("http-c1", Kind::Ours, Figure::Instructions).unwrap().median, 200.0);
        let ratio = record.ratio("http-c1", Figure::Instructions).unwrap();
        assert_eq!((ratio.least, ratio.greatest), (0.5, 1.0));
        assert_eq!(record.figures("http-c1"), [Figure::Instructions]);
        assert_eq!(record.ratio("http-c1", Figure::Rate), None);
    }
}

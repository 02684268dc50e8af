//! The session: prepares the guests, takes all runs in turn, and shows what came of them.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::BenchError;
use super::figure::Figures;
use super::ground::{Choice, Ground};
use super::guest::{Guests, Kind, Offloads};
use super::images::Images;
use super::linux;
use super::measure::{MeasureError, measure, sample};
use super::profile;
use super::progress::Progress;
use super::record::{Record, Run, Settings, host, now};
use super::scratch::Scratch;
use super::workload::Workload;
use super::{plot, table};
use crate::qemu;

/// What a benchmark does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is measured.
    pub workloads: Vec<Workload>,
    /// How often each guest is measured.
    pub pairs: u32,
    /// The guests, in the order in which they take turns.
    pub guests: Vec<Kind>,
    /// Whether the network card offloads.
    pub offloads: Offloads,
    /// The network.
    pub network: Choice,
    /// How long a timed load runs.
    pub time: Duration,
    /// What is printed.
    pub output: Output,
    /// An image of ours that is taken instead of a fresh one, for the workloads of `http` or `netbench`.
    pub image: Option<PathBuf>,
    /// File for the raw runs.
    pub json: Option<PathBuf>,
    /// File for the plot.
    pub plot: Option<PathBuf>,
}

/// What comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Output {
    /// A table of figures.
    #[default]
    Table,
    /// Where our guest's instructions go.
    Profile,
}

/// Runs the benchmark, prints what came of it, and returns the runs.
///
/// This process moves into a network namespace of its own for good; it must have one thread only.
///
/// # Errors
///
/// A guest cannot be made, or the host refuses what is needed. A run that fails is a problem in the record.
pub fn run(plan: &Plan) -> Result<Record, BenchError> {
    let images = Images::prepare(plan)?;
    let (ground, refusal) = Ground::enter(plan.network)?;
    if let Some(refusal) = refusal {
        eprintln!("metaos: measures on QEMU's user network: {refusal}");
    }
    let scratch = Scratch::create()?;
    let guests = Guests {
        images,
        ground,
        offloads: plan.offloads,
        scratch: scratch.path().to_owned(),
        answer_length: OnceCell::new(),
    };
    let mut record = Record { settings: settings(plan, &guests), runs: Vec::new() };
    match plan.output {
        Output::Table => take_runs(plan, &guests, &mut record),
        Output::Profile => print_profiles(plan, &guests, &mut record),
    }
    drop(scratch);
    if plan.output == Output::Table {
        println!("{}", table::render(&record));
    }
    keep(plan, &record)?;
    Ok(record)
}

fn take_runs(plan: &Plan, guests: &Guests, record: &mut Record) {
    let schedule = schedule(plan);
    let progress = Progress::new(schedule.len() as u64);
    // A guest that failed at a workload is not asked again: its time-outs would take longer than the benchmark.
    let mut failed = BTreeSet::new();
    for (workload, pair, kind) in schedule {
        if !failed.contains(&(workload, kind)) {
            progress.say(&format!("{workload} {}", name(kind)));
            let run = take_run(plan, guests, workload, pair, kind);
            if run.problem.is_some() {
                failed.insert((workload, kind));
            }
            record.runs.push(run);
        }
        progress.advance();
    }
    progress.finish();
}

/// Returns the runs in their order: the guests in turn, pair by pair, one workload after the other.
fn schedule(plan: &Plan) -> Vec<(Workload, u32, Kind)> {
    let mut schedule = Vec::new();
    for workload in &plan.workloads {
        for pair in 0..plan.pairs {
            schedule.extend(plan.guests.iter().map(|kind| (*workload, pair, *kind)));
        }
    }
    schedule
}

fn take_run(plan: &Plan, guests: &Guests, workload: Workload, pair: u32, kind: Kind) -> Run {
    let (figures, problem) = match measure(guests, workload, kind, plan.time) {
        Ok(figures) => (figures, None),
        Err(error) => (Figures::new(), Some(error.to_string())),
    };
    Run { workload: workload.to_string(), guest: kind, pair, figures, problem }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "on our guest",
        Kind::Linux => "on Linux",
    }
}

/// A workload that fails is a run with a problem.
fn print_profiles(plan: &Plan, guests: &Guests, record: &mut Record) {
    for workload in &plan.workloads {
        match describe_profile(guests, *workload) {
            Ok(text) => println!("{workload}: {text}"),
            Err(error) => {
                eprintln!("metaos: {workload}: {error}");
                let problem = Some(error.to_string());
                let (workload, guest, figures) = (workload.to_string(), Kind::Ours, Figures::new());
                record.runs.push(Run { workload, guest, pair: 0, figures, problem });
            }
        }
    }
}

fn describe_profile(guests: &Guests, workload: Workload) -> Result<String, MeasureError> {
    let sampled = sample(guests, workload)?;
    let symbols = &guests.images.ours(workload.program())?.symbols;
    Ok(profile::describe(&sampled, symbols, workload.unit()))
}

fn keep(plan: &Plan, record: &Record) -> Result<(), BenchError> {
    if let Some(path) = &plan.json {
        record.write(path)?;
    }
    match &plan.plot {
        Some(path) => plot::draw(record, Path::new(path)),
        None => Ok(()),
    }
}

fn settings(plan: &Plan, guests: &Guests) -> Settings {
    let version = qemu::find().and_then(|path| qemu::version(&path));
    Settings {
        date: now(),
        host: host(),
        qemu: version.map_or_else(|error| error.to_string(), |version| version.to_string()),
        flags: guests.flags(),
        network: guests.ground.describe().to_owned(),
        offloads: match plan.offloads {
            Offloads::On => "on (as QEMU offers and each guest takes them)",
            Offloads::Off => "off for both",
        }
        .to_owned(),
        linux: guests
            .images
            .linux
            .as_ref()
            .map(|guest| format!("{}, {}", guest.version, linux::OPTIONS.join(" "))),
        pairs: plan.pairs,
        notes: notes(guests.ground),
    }
}

fn notes(ground: Ground) -> Vec<String> {
    let mut notes = vec![
        "TCG, not hardware: instructions carry over, times only as ratios",
        "Linux runs with mitigations as shipped; under TCG it finds no Meltdown, so page tables are not split (KPTI)",
        "instructions: fixed number of operations by a client of ours, connections open before counting; times: wrk \
         for HTTP, else the same client of ours; taken on different machines, for counting costs time",
        "a repeated string instruction (rep movs) counts as one: copies are cheap in instructions, on both guests",
        "client and guest share the host's CPUs: rates and latencies are shown, CPU time and instructions decide",
        "bulk: a client of ours for both guests; iperf3 has a protocol of its own that the native guest does not speak",
        "image: ours with the program; Linux's kernel as shipped and its initramfs with the program",
        "memory: after 30 000 HTTP requests on 32 connections",
    ];
    if ground == Ground::User {
        notes
            .push("QEMU's user network delays some packets by up to 500 ms on every guest: p99 says nothing");
    }
    notes.into_iter().map(str::to_owned).collect()
}

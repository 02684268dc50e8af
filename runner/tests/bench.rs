//! `cargo metaos bench` as a user meets it: that there are figures, of the right kind, and what is left behind.
//!
//! What the figures are is not asserted: they depend on the machine and on what else it does.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metaos_runner::bench::Kind;
use metaos_runner::bench::figure::Figure;
use metaos_runner::bench::record::Record;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-metaos");
/// How long Linux may take to end a machine whose parent has gone.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// A benchmark of our guest alone; what it leaves behind lies in `temporary`.
fn bench(temporary: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["metaos", "bench", "--against", "none", "--pairs", "1"]).args(words);
    command.env("TMPDIR", temporary).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_empty(directory: &TempDir) -> bool {
    fs::read_dir(directory).expect("it is there").next().is_none()
}

fn children(parent: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// A process that has ended and that nobody has reaped has no command line.
fn is_running(id: u32) -> bool {
    fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Waits until the first run has begun.
fn await_first_run(child: &mut Child) {
    let errors = child.stderr.as_mut().expect("it is piped");
    let is_it = |line: &String| line.contains("1/1 http-c1");
    assert!(BufReader::new(errors).lines().map_while(Result::ok).any(|line| is_it(&line)), "no run began");
}

#[test]
fn the_figures_of_a_workload_are_taken_and_nothing_is_left() {
    let (temporary, kept) = (tempfile::tempdir().expect("possible"), tempfile::tempdir().expect("possible"));
    let (json, plot) = (kept.path().join("runs.json"), kept.path().join("plot.svg"));
    let output = bench(temporary.path(), &["http-c1", "--seconds", "1"])
        .args(["--json".as_ref(), json.as_os_str(), "--plot".as_ref(), plot.as_os_str()])
        .output()
        .expect("the program starts");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    assert!(text.contains("instructions / request"), "{text}");
    let record: Record =
        serde_json::from_str(&fs::read_to_string(&json).expect("it was written")).expect("it is a record");
    let median = |figure| record.summary("http-c1", Kind::Ours, figure).map_or(0.0, |it| it.median);
    assert!((1e3..1e5).contains(&median(Figure::Instructions)), "{record:?}");
    assert!((1.0..1e4).contains(&median(Figure::CpuTime)), "{record:?}");
    assert!(median(Figure::Rate) > 10.0, "{record:?}");
    assert!(median(Figure::Median) <= median(Figure::Tail), "{record:?}");
    assert!(fs::read_to_string(&plot).expect("it was drawn").contains("http-c1"));
    assert!(is_empty(&temporary));
}

#[test]
fn an_interrupted_benchmark_leaves_nothing() {
    let temporary = tempfile::tempdir().expect("possible");
    let mut child = bench(temporary.path(), &["http-c1", "--seconds", "60"]).spawn().expect("it starts");
    await_first_run(&mut child);
    let machines = children(child.id());
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(is_empty(&temporary));
    let start = Instant::now();
    while machines.iter().any(|id| is_running(*id)) {
        assert!(start.elapsed() < PATIENCE, "{machines:?}");
        thread::sleep(POLL);
    }
}

#[test]
fn an_unknown_workload_is_answered_with_those_there_are() {
    let temporary = tempfile::tempdir().expect("possible");
    let output = bench(temporary.path(), &["http"]).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("http-c32") && errors.contains("tcp-rr"), "{errors}");
}

//! Fuzzing: each target of `tests/fuzz` is built with coverage instrumentation and run from its kept corpus.
//!
//! A run takes 30 s a target. The longer form, an hour each:
//!
//! ```text
//! METAOS_FUZZ_SECONDS=3600 cargo test -p metaos-tests --test fuzz
//! ```
//!
//! The corpus in `tests/fuzz/corpus/<target>` is only read. What a run finds stays in the build directory
//! (`tmp/fuzz/runs/<target>/finds`) until the next one, and a target's `-merge=1` tells what of it is worth keeping; an
//! input that once crashed is kept as `regression-<what>`. libFuzzer runs the whole corpus before it invents anything,
//! so a regression fails at once.
//!
//! Instrumentation needs RUSTFLAGS, which nothing else in the project does; they are set for this build alone, and
//! `--target` keeps them off the build scripts. libFuzzer itself is C++ and comes as source, so a C++ compiler has to
//! be there.
#![cfg(test)]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// The passes that libFuzzer is steered by: counters of edges, and traced comparisons.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";
const SECONDS: &str = "METAOS_FUZZ_SECONDS";
const DEFAULT_SECONDS: u64 = 30;
/// A target that does fewer runs a second, on the slowest machine that is in use, tests next to nothing.
const LEAST_RUNS_A_SECOND: u64 = 350;
/// A run of these is the whole life of a host with nine connections.
const LEAST_LIVES_A_SECOND: u64 = 40;
/// No input is worth that much memory, and none takes that long.
const MEMORY_LIMIT_MB: u64 = 512;
const INPUT_TIMEOUT_SECONDS: u64 = 10;

#[test]
fn the_linker_survives_any_file() {
    assert_survives(
        "elf",
        LEAST_RUNS_A_SECOND,
        &["-max_len=8192", concat!(env!("CARGO_MANIFEST_DIR"), "/data")],
    );
}

#[test]
fn the_driver_survives_any_used_ring() {
    assert_survives("used_ring", LEAST_RUNS_A_SECOND, &["-max_len=1024"]);
}

#[test]
fn the_readers_of_the_command_line_survive_any_line() {
    assert_survives("command_line", LEAST_RUNS_A_SECOND, &["-max_len=1024"]);
}

#[test]
fn the_demultiplexer_reads_any_frame_as_the_stack_behind_does() {
    assert_survives("demux", LEAST_RUNS_A_SECOND, &["-max_len=256"]);
}

#[test]
fn the_network_stack_survives_any_frames_and_serves_on() {
    assert_survives("inbound", LEAST_LIVES_A_SECOND, &["-max_len=2048", "-len_control=10"]);
}

#[test]
fn a_planted_defect_is_found() {
    let run = Run::start("planted", 20, &[]);
    assert!(!run.output.status.success(), "the planted defect was not found:\n{}", run.log());
    assert_eq!(run.crash().as_deref().and_then(<[u8]>::first_chunk), Some(b"boom"), "{}", run.log());
    assert!(run.explanation().contains("62 6f 6f 6d"), "the input is shown");
}

#[test]
fn a_planted_defect_behind_the_network_stack_is_found() {
    let run = Run::start_planted("inbound", 60, &["-max_len=2048"]);
    assert!(!run.output.status.success(), "the planted defect was not found:\n{}", run.log());
    assert!(run.explanation().contains("the planted defect was reached"), "{}", run.log());
}

#[test]
fn the_targets_have_the_features_of_smoltcp_that_the_library_os_has() {
    let [guest, targets] = ["../libos/Cargo.toml", "fuzz/Cargo.toml"].map(|path| {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("it is there");
        let (_, after) = text.split_once("[dependencies.smoltcp]").expect("it uses smoltcp");
        let (_, after) = after.split_once("features = [").expect("it names features");
        after.split_once(']').expect("the list ends").0.to_owned()
    });
    assert_eq!(guest, targets, "the stack is fuzzed as it is built");
}

/// One run of a target, with a folder of its own for what it finds.
struct Run {
    target: &'static str,
    program: PathBuf,
    /// Where libFuzzer puts the input that ended the run.
    crashes: PathBuf,
    output: Output,
}

fn assert_survives(target: &'static str, least: u64, options: &[&str]) {
    let seconds = seconds();
    let run = Run::start(target, seconds, options);
    assert!(run.output.status.success(), "{}", run.explanation());
    let runs = run.count().unwrap_or_else(|| panic!("no count of runs:\n{}", run.log()));
    println!("{target}: {runs} runs in {seconds} s");
    let least = least * seconds;
    assert!(runs >= least, "{target}: only {runs} runs in {seconds} s:\n{}", run.log());
}

impl Run {
    fn start(target: &'static str, seconds: u64, options: &[&str]) -> Self {
        let seeds = source_folder().join("corpus").join(target);
        let seeds: Vec<&Path> = seeds.exists().then_some(&*seeds).into_iter().collect();
        Self::execute(target, target, Command::new(build(target)), seconds, options, &seeds)
    }

    /// Starts a target with a defect in it, and without anything that is known already.
    fn start_planted(target: &'static str, seconds: u64, options: &[&str]) -> Self {
        let mut command = Command::new(build(target));
        command.env("METAOS_FUZZ_PLANTED", "1");
        Self::execute(target, &format!("{target}-planted"), command, seconds, options, &[])
    }

    fn execute(
        target: &'static str,
        folder: &str,
        mut command: Command,
        seconds: u64,
        options: &[&str],
        seeds: &[&Path],
    ) -> Self {
        let folder = build_folder().join("runs").join(folder);
        // What an earlier run left would be taken for this one's.
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the build directory is writable");
        }
        let [finds, crashes] = ["finds", "crashes"].map(|name| folder.join(name));
        for new in [&finds, &crashes] {
            fs::create_dir_all(new).expect("the build directory is writable");
        }
        let output = command
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-rss_limit_mb={MEMORY_LIMIT_MB}"))
            .arg(format!("-timeout={INPUT_TIMEOUT_SECONDS}"))
            .arg(format!("-artifact_prefix={}/", crashes.display()))
            .arg("-print_final_stats=1")
            // New inputs go to the first folder, the others, of which options may name one, are only read.
            .arg(&finds)
            .args(options)
            .args(seeds)
            .output()
            .expect("a fuzz target that was built starts");
        Self { target, program: command.get_program().into(), crashes, output }
    }

    fn log(&self) -> String {
        let log = String::from_utf8_lossy(&self.output.stderr);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Reads how many inputs were run.
    fn count(&self) -> Option<u64> {
        let log = String::from_utf8_lossy(&self.output.stderr);
        let line = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
        line.trim().parse().ok()
    }

    /// Returns the input that ended the run, if one did.
    fn crash(&self) -> Option<Vec<u8>> {
        self.crash_path().map(|path| fs::read(path).expect("libFuzzer has just written it"))
    }

    fn crash_path(&self) -> Option<PathBuf> {
        let mut entries = fs::read_dir(&self.crashes).ok()?;
        entries.find_map(|entry| Some(entry.ok()?.path()))
    }

    fn explanation(&self) -> String {
        let mut text = format!("{}: a defect was found\n{}\n", self.target, self.log());
        if let (Some(bytes), Some(path)) = (self.crash(), self.crash_path()) {
            let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = write!(
                text,
                "\nthe input, {} bytes: {}\nonce more: {} {}\nkeep it: cp {} tests/fuzz/corpus/{}/regression-WHAT",
                bytes.len(),
                hex.join(" "),
                self.program.display(),
                path.display(),
                path.display(),
                self.target,
            );
        }
        text
    }
}

fn seconds() -> u64 {
    env::var(SECONDS).map_or(DEFAULT_SECONDS, |text| {
        text.parse().unwrap_or_else(|_| panic!("{SECONDS}={text} is no number of seconds"))
    })
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn build_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz")
}

/// Builds the targets, once: of several tests at the same time, Cargo's lock on the build directory lets one build and
/// the others find it done.
fn build(target: &str) -> PathBuf {
    let folder = build_folder().join("build");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--bins", "--target", TRIPLE, "--target-dir"])
        .arg(&folder)
        .arg("--manifest-path")
        .arg(source_folder().join("Cargo.toml"))
        .env("RUSTFLAGS", RUSTFLAGS)
        // Would come before RUSTFLAGS.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo runs the tests, so it is there");
    assert!(
        output.status.success(),
        "the fuzz targets do not build; libFuzzer needs a C++ compiler (on Debian: apt-get install g++):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder.join(TRIPLE).join("release").join(target)
}

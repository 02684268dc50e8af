//! Prints the figures of guests that run as Linux processes, beside those of ordinary processes on the same Linux:
//! `cargo bench -p metaos-tests --bench hosted`.
//!
//! Nothing is asserted: times depend on the machine and on what else it does. What is compared is measured in turn.

mod compute;
mod load;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use metaos_tests::namespace;
use metaos_tests::program::{self, Boot};
use runner::workspace::{Program, Workspace};
use runner::{BuildRequest, build_app};

const STARTS: usize = 201;
const SYSTEM_CALLS: u32 = 1_000_000;
const PAIRS: usize = 5;
/// What the guest measures so often.
const CALLS: f64 = 1e7;

fn main() {
    print_starts();
    print_calls();
    // A tap interface takes root; without it this part says so.
    namespace::run(load::print);
}

fn print_starts() {
    let hello = program::image(directory(), "hello", Boot::Direct);
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..STARTS {
        for (times, program) in times.iter_mut().zip([Path::new("/bin/true"), &hello]) {
            let start = Instant::now();
            let status = Command::new(program).env_clear().stdout(Stdio::null()).status();
            assert!(status.is_ok_and(|status| status.success()), "{}", program.display());
            times.push(milliseconds(start.elapsed()));
        }
    }
    let [nothing, hello] = times.map(median);
    println!("start to end of a process, median of {STARTS}");
    println!("  /bin/true {nothing:.2} ms, hello {hello:.2} ms");
}

fn print_calls() {
    println!("calls and computation, median of {PAIRS} pairs");
    let guest = measuring_guest();
    let mut ratios: [Vec<f64>; 4] = Default::default();
    let mut costs: [Vec<f64>; 4] = Default::default();
    for _ in 0..PAIRS {
        let start = Instant::now();
        (0..SYSTEM_CALLS).for_each(|_| {
            black_box(nix::unistd::gettid());
        });
        let system_call = start.elapsed().as_nanos() as f64 / f64::from(SYSTEM_CALLS);
        let start = Instant::now();
        black_box(compute::mix(black_box(1)));
        let compute = start.elapsed().as_nanos() as f64;
        let output = Command::new(&guest).env_clear().output().expect("the guest has just been built");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let [null, thread, clock, computing] =
            ["null", "thread", "clock", "compute"].map(|name| figure(&text, name));
        for (costs, cost) in costs.iter_mut().zip([system_call, null / CALLS, thread / CALLS, clock / CALLS])
        {
            costs.push(cost);
        }
        let against = |cost: f64| system_call * CALLS / cost;
        let of_pair = [against(null), against(thread), against(clock), compute / computing];
        ratios.iter_mut().zip(of_pair).for_each(|(ratios, ratio)| ratios.push(ratio));
    }
    let [system_call, null, thread, clock] = costs.map(median);
    println!("  Linux: gettid {system_call:.1} ns");
    println!(
        "  library OS: is a stop requested {null:.1} ns, number of the thread {thread:.1} ns, clock {clock:.1} ns"
    );
    let [null, thread, clock, computing] = ratios.map(spread);
    println!("  gettid against each of them: {null}, {thread}, {clock}");
    println!("  computation, time of an ordinary process against that of the guest {computing}");
}

/// Returns what the guest printed after `name`.
fn figure(text: &str, name: &str) -> f64 {
    let words = text.lines().find_map(|line| line.strip_prefix(name));
    words.and_then(|number| number.trim().parse().ok()).unwrap_or(f64::NAN)
}

fn measuring_guest() -> PathBuf {
    let home = Workspace::home().unwrap_or_else(|error| panic!("{error}"));
    let program = Program { package: "metaos-test-guests".to_owned(), binary: "measure-calls".to_owned() };
    let output = directory().join("measure-calls.img");
    let request = BuildRequest { output: Some(output.clone()), ..BuildRequest::new(home, program) };
    drop(build_app(&request).unwrap_or_else(|error| panic!("{error}")));
    output
}

/// Returns the median with the least and the largest.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_unstable_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!("{:.2}x ({least:.2} to {most:.2})", median(values))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Returns a figure of `/proc/PID/status`, in KiB.
fn kib_of(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().ok()).unwrap_or(0)
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

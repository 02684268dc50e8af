//! Whole guests in made-up time: the same seed gives the same run, bit for bit, whatever the wire does.
//!
//! Two guests that run as processes, a server and a client of `netbench`, on a wire that loses, delays, reorders and
//! repeats frames. The long form takes a hundred seeds:
//! `cargo test -p metaos-tests --release --test repeats -- --ignored`.

use std::path::Path;
use std::time::Duration;

use metaos_tests::program;
use runner::simulation::{self, Trace, Wire};

const SEEDS: u64 = 8;
const MANY_SEEDS: u64 = 100;
/// Of the host's time; a run takes a small part of a second.
const LIMIT: Duration = Duration::from_secs(60);
const BYTES: &str = "200000";

#[test]
fn a_seed_tells_all_that_happens() {
    repeat(SEEDS);
}

#[test]
#[ignore = "takes a minute; the long form of the test above"]
fn a_hundred_seeds_tell_all_that_happens() {
    repeat(MANY_SEEDS);
}

#[test]
fn time_that_is_made_up_passes_as_the_wire_says() {
    let wire = Wire { delay: Duration::from_secs(1), ..Wire::default() };
    let trace = run("tcp-rr", &["--count", "10"], &wire, 1);
    // Each answer takes a second each way, and so does what comes before the first and after the last.
    assert!((20..40).contains(&(trace.end_ns / 1_000_000_000)), "{trace:?}");
    assert_eq!(trace.lost, 0);
}

fn repeat(seeds: u64) {
    let wire = Wire {
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(2),
        loss: 0.02,
        duplicates: 0.02,
    };
    let mut hashes = Vec::new();
    let mut lost = 0;
    for seed in 0..seeds {
        let [first, second] = [(); 2].map(|()| run("tcp-send", &["--count", BYTES], &wire, seed));
        assert_eq!(
            (first.hash, first.end_ns, first.sent, &first.outcome.console),
            (second.hash, second.end_ns, second.sent, &second.outcome.console),
            "seed {seed}"
        );
        assert!(first.outcome.console.contains(&format!("bytes={BYTES}")), "{}", first.outcome.console);
        lost += first.lost;
        hashes.push(first.hash);
    }
    assert!(lost > 0, "the wire loses something");
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len() as u64, seeds, "other seeds give other runs");
}

/// Measures with `workload` from one guest to another, and checks that it went well.
fn run(workload: &str, limits: &[&str], wire: &Wire, seed: u64) -> Trace {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let guest = |address: &str, arguments: &[&str]| {
        let mut config = program::hosted(directory, "netbench", arguments);
        config.command_line = config.command_line.word(&format!("net.ip={address}/24"));
        config
    };
    let client = [&["client", workload, "10.0.0.1"], limits].concat();
    let guests = [guest("10.0.0.1", &["server"]), guest("10.0.0.2", &client)];
    let trace = simulation::run(&guests, wire, seed, LIMIT).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(trace.outcome.status, 0, "{}", trace.outcome.console);
    trace
}

//! How fast it goes: throughput by loss, round trip and buffer, on the hosts' own clocks and so the same every time.
//!
//! The table is kept in the repository and compared exactly. A change of it is either a regression or what was meant;
//! then it is accepted with the commit that causes it. To see it, and to accept it:
//!
//! ```text
//! cargo nextest run -p metaos-libos sim::table --no-capture
//! METAOS_ACCEPT=1 cargo nextest run -p metaos-libos sim::table
//! ```

use super::channel::{Chance, Channel, Conditions};
use super::host::Host;
use super::network::{End, Network};
use super::ours::Ours;
use super::program::{Program, Task};
use crate::net::pool::BufferPlan;
use crate::net::tests::wire::{CLIENT, SERVER};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;
use smoltcp::time::Duration;
use std::{env, fs, println};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/net/tests/snapshots/throughput.txt");
/// Says that a new table is what was meant.
const ACCEPT: &str = "METAOS_ACCEPT";

const BYTES: usize = 4 << 20;
/// A cell that takes longer is measured as far as it got.
const LIMIT: Duration = Duration::from_secs(60);
/// Runs of a cell on which chance has a say; the mean counts.
const RUNS: u64 = 4;
/// What the wire carries: a gigabit a second, and 256 KiB wait for their turn.
const BANDWIDTH: u64 = 1_000_000_000;
const QUEUE: u64 = 256 << 10;

const ROUND_TRIPS: [Duration; 5] = [
    Duration::from_micros(200),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(100),
];
const BUFFERS_KIB: [usize; 4] = [16, 64, 256, 2048];
const WIRES: [(&str, Chance, Chance); 6] = [
    ("nothing is lost", Chance::NEVER, Chance::NEVER),
    ("0.1 % are lost", Chance(100), Chance::NEVER),
    ("1 % are lost", Chance(1000), Chance::NEVER),
    ("2 % are lost", Chance(2000), Chance::NEVER),
    ("2 % are late", Chance::NEVER, Chance(2000)),
    ("2 % are lost, 2 % are late", Chance(2000), Chance(2000)),
];

#[test]
fn throughput_is_as_it_was() {
    let table = table();
    println!("{table}");
    let kept = fs::read_to_string(FILE).unwrap_or_default();
    if kept == table {
        return;
    }
    if env::var_os(ACCEPT).is_some() {
        fs::write(FILE, &table).expect("the sources are writable");
        return;
    }
    panic!(
        "the throughput has changed:\n{}\nif it is meant to:\n  {ACCEPT}=1 cargo nextest run -p metaos-libos sim::table\n",
        changes(&kept, &table)
    );
}

/// 4 MiB, as in the table, are little more than what doubling from ten segments takes to reach the rate. With the
/// buffers of a guest of 256 MiB, which has room for ten thousand idle connections beside, the rest goes at that rate.
#[test]
fn one_busy_connection_reaches_a_gigabit_over_ten_milliseconds() {
    let plan = BufferPlan::for_memory(256 << 20);
    let conditions =
        Conditions { bandwidth: Some(BANDWIDTH), queue: QUEUE, ..Conditions::good(Duration::from_millis(5)) };
    let time = |bytes| {
        let (received, time) = transfer_with(plan, conditions, bytes, 0);
        assert_eq!(received, bytes);
        time.total_micros()
    };
    let (start, whole) = (time(16 << 20), time(64 << 20));
    let megabits = |bytes: u64, micros: u64| 8 * bytes / micros;
    println!(
        "64 MiB: {} Mbit/s, the last 48: {}",
        megabits(64 << 20, whole),
        megabits(48 << 20, whole - start)
    );
    assert!(megabits(64 << 20, whole) >= 800);
    assert!(megabits(48 << 20, whole - start) >= 900);
}

fn table() -> String {
    let mut table = String::from(
        "Mbit/s of the hosts' own time: 4 MiB one way between two of ours, over 1 Gbit/s with a queue of 256 KiB\n",
    );
    for (name, loss, reordering) in WIRES {
        let _ = write!(table, "\n{name:<28}");
        for round_trip in ROUND_TRIPS {
            let _ = write!(table, "{:>10}", format!("{} ms", round_trip.total_micros() as f64 / 1000.0));
        }
        table.push('\n');
        for buffer in BUFFERS_KIB {
            let _ = write!(table, "{:>28}", format!("{buffer} KiB"));
            for round_trip in ROUND_TRIPS {
                let conditions = Conditions {
                    loss,
                    reordering,
                    bandwidth: Some(BANDWIDTH),
                    queue: QUEUE,
                    ..Conditions::good(round_trip / 2)
                };
                let _ = write!(table, "{:>10}", megabits(conditions, buffer << 10));
            }
            table.push('\n');
        }
    }
    table
}

/// Returns the mean throughput over a wire, to three digits.
fn megabits(conditions: Conditions, buffer: usize) -> String {
    let has_chance = conditions.loss != Chance::NEVER || conditions.reordering != Chance::NEVER;
    let runs = if has_chance { RUNS } else { 1 };
    let (mut bits, mut micros) = (0, 0);
    for seed in 0..runs {
        let (bytes, time) = transfer(conditions, buffer, seed);
        bits += 8 * bytes as u64;
        micros += time.total_micros();
    }
    let rate = bits as f64 / micros as f64;
    match rate {
        ..10.0 => format!("{rate:.2}"),
        ..100.0 => format!("{rate:.1}"),
        _ => format!("{rate:.0}"),
    }
}

/// Sends from the one who connects to the one who listens. Returns how much arrived in which time.
fn transfer(conditions: Conditions, buffer: usize, seed: u64) -> (usize, Duration) {
    transfer_with(BufferPlan { floor: buffer, most: buffer, budget: 0, limit: 8 }, conditions, BYTES, seed)
}

fn transfer_with(plan: BufferPlan, conditions: Conditions, bytes: usize, seed: u64) -> (usize, Duration) {
    let mut client = Ours::new(CLIENT.into(), plan, 2 * seed);
    let mut server = Ours::new(SERVER.into(), plan, 2 * seed + 1);
    server.listen();
    client.connect(SERVER.into());
    let end = |host: Ours, writes, reads, number| End {
        host: Box::new(host),
        program: Program::new(Task { writes, reads, pause: Duration::ZERO }, seed, seed),
        channel: Channel::new(conditions, 2 * seed + number),
    };
    let mut network = Network::new([end(client, bytes, 0, 0), end(server, 0, bytes, 1)]);
    network.run_to(bytes, LIMIT).expect("nothing breaks")
}

/// Returns the lines that differ.
fn changes(old: &str, new: &str) -> String {
    let mut text = String::new();
    let mut old = old.lines();
    for line in new.lines() {
        let before = old.next().unwrap_or_default();
        if before != line {
            let _ = writeln!(text, "- {before}\n+ {line}");
        }
    }
    text
}

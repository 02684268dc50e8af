//! Whatever the wire does: what is written arrives, once and unchanged, and every connection goes.
//!
//! Each seed is one wire (every third one with IPv6), one pair of programs and one pair of buffers. A failure names its seed, and
//! `METAOS_NET_SEEDS=17..18` runs seed 17 alone; with `METAOS_NET_TRACE=1` it prints every frame. The long form:
//!
//! ```text
//! METAOS_NET_SEEDS=0..1000 cargo nextest run -p metaos-libos sim::properties
//! ```

use super::channel::{Chance, Channel, Conditions};
use super::host::Host;
use super::network::{End, Network, Outcome};
use super::ours::Ours;
use super::program::{Program, Task};
use super::stock::Stock;
use crate::net::pool::BufferPlan;
use crate::net::tests::wire::{CLIENT, CLIENT_V6, Random, SERVER, SERVER_V6};
use alloc::boxed::Box;
use alloc::string::String;
use core::net::IpAddr;
use core::ops::Range;
use smoltcp::time::Duration;
use std::{env, eprintln, println};

/// Which seeds are run, as `FIRST..END`.
const SEEDS: &str = "METAOS_NET_SEEDS";
const DEFAULT_SEEDS: Range<u64> = 0..100;
/// Bytes that each side sends.
const BYTES: usize = 1 << 20;
/// No wire is so bad that it takes longer.
const LIMIT: Duration = Duration::from_secs(1800);
/// Sizes of buffers.
const BUFFERS: [usize; 4] = [4 << 10, 16 << 10, 64 << 10, 256 << 10];

/// Who talks to whom.
#[derive(Clone, Copy)]
enum Pair {
    Ours,
    /// One of them is the published stack: the seed says which.
    Mixed,
}

#[test]
fn two_of_ours_lose_nothing_and_leave_nothing() {
    assert_holds(Pair::Ours);
}

#[test]
fn ours_and_the_published_stack_lose_nothing_and_leave_nothing() {
    assert_holds(Pair::Mixed);
}

#[test]
fn a_seed_says_all() {
    let run = || run(Pair::Mixed, 1).unwrap();
    assert_eq!(run(), run());
}

fn assert_holds(pair: Pair) {
    let (mut failures, mut longest, mut frames) = (0, Duration::ZERO, 0);
    let seeds = seeds();
    for seed in seeds.clone() {
        match run(pair, seed) {
            Ok(outcome) => {
                longest = longest.max(outcome.gone_after);
                frames += outcome.frames;
            }
            Err(error) => {
                failures += 1;
                eprintln!("seed {seed}: {error}");
                eprintln!("  with {:?}", Case::new(seed));
                eprintln!(
                    "  once more: {SEEDS}={seed}..{} cargo nextest run -p metaos-libos sim::properties",
                    seed + 1
                );
            }
        }
    }
    println!("seeds {seeds:?}: {frames} frames, the longest took {longest} of its own time");
    assert_eq!(failures, 0, "so many seeds failed");
}

/// What a seed decides.
#[derive(Debug)]
struct Case {
    channels: [Conditions; 2],
    buffers: [usize; 2],
    pauses: [Duration; 2],
    /// The published stack is the one that connects.
    stock_connects: bool,
    /// The addresses of who connects and who listens: a third of the seeds talks IPv6.
    addresses: [IpAddr; 2],
}

impl Case {
    fn new(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let delay = Duration::from_micros(random.next() % 20_000);
        Self {
            channels: [conditions(delay, random), conditions(delay, random)],
            buffers: [(); 2].map(|()| BUFFERS[random.below(BUFFERS.len())]),
            pauses: [(); 2].map(|()| {
                if random.one_in(4) { Duration::from_millis(random.next() % 20) } else { Duration::ZERO }
            }),
            stock_connects: random.one_in(2),
            addresses: match seed % 3 {
                2 => [CLIENT_V6.into(), SERVER_V6.into()],
                _ => [CLIENT.into(), SERVER.into()],
            },
        }
    }
}

/// Half of the wires have each fault, so that there are wires with one fault and with all.
fn conditions(delay: Duration, random: &mut Random) -> Conditions {
    let mut chance = |most: usize| {
        if random.one_in(2) { Chance(u32::try_from(random.below(most)).unwrap()) } else { Chance::NEVER }
    };
    let (loss, duplication, reordering, corruption) =
        (chance(4000), chance(4000), chance(4000), chance(2000));
    let jitter = if random.one_in(2) { delay } else { Duration::ZERO };
    let bandwidth = (!random.one_in(3)).then(|| 1_000_000 << random.below(10));
    let queue = 16 << 10 << random.below(6);
    Conditions { loss, duplication, reordering, corruption, delay, jitter, bandwidth, queue }
}

fn run(pair: Pair, seed: u64) -> Result<Outcome, String> {
    let case = Case::new(seed);
    let ours = |address, size| -> Box<dyn Host> { Box::new(Ours::new(address, plan(size, seed), seed)) };
    let host = |address: IpAddr, size, connects: bool| match pair {
        Pair::Mixed if connects == case.stock_connects => Box::new(Stock::new(address, size, seed)),
        _ => ours(address, size),
    };
    let [client, server] = case.addresses;
    let mut hosts = [host(client, case.buffers[0], true), host(server, case.buffers[1], false)];
    hosts[1].listen();
    hosts[0].connect(server);
    let mut number = 0;
    let ends = hosts.map(|host| {
        let (this, other) = (number, 1 - number);
        number += 1;
        let task = Task { writes: BYTES, reads: BYTES, pause: case.pauses[this] };
        End {
            host,
            program: Program::new(task, 2 * seed + this as u64, 2 * seed + other as u64),
            channel: Channel::new(case.channels[this], 2 * seed + this as u64),
        }
    });
    let mut network = Network::new(ends);
    let outcome = network.run(LIMIT)?;
    network.audit();
    Ok(outcome)
}

/// Buffers that may grow to `size`, if the budget allows: for half of the seeds it allows one of them.
fn plan(size: usize, seed: u64) -> BufferPlan {
    let budget = if seed.is_multiple_of(2) { 2 * size } else { size };
    BufferPlan { floor: (size / 16).max(2048), most: size, budget, limit: 8 }
}

fn seeds() -> Range<u64> {
    let Ok(text) = env::var(SEEDS) else { return DEFAULT_SEEDS };
    let range = text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    range.unwrap_or_else(|| panic!("{SEEDS}={text} is no range; write FIRST..END"))
}

//! The simulation: hosts, channels, frames under way, and the clock that jumps from event to event.

use super::channel::Channel;
use super::host::Host;
use super::program::Program;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use smoltcp::time::{Duration, Instant};
use std::string::ToString as _;
use std::{env, eprintln};
use stock_smoltcp::wire::{EthernetFrame, PrettyPrinter};

/// Says that every frame is printed when it is sent.
const TRACE: &str = "METAOS_NET_TRACE";

/// A host, its program, and the way from it to the other.
pub(super) struct End {
    pub(super) host: Box<dyn Host>,
    pub(super) program: Program,
    pub(super) channel: Channel,
}

/// The simulation.
pub(super) struct Network {
    now: Instant,
    ends: [End; 2],
    /// Frames by the time they arrive, with the number of the end that they are for.
    under_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    frames: u64,
    is_traced: bool,
    wakes: [Option<Instant>; 2],
}

/// What a simulation came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outcome {
    /// When the last program was done.
    pub(super) done_after: Duration,
    /// When the last connection was gone.
    pub(super) gone_after: Duration,
    /// How many frames were sent.
    pub(super) frames: u64,
}

impl Network {
    pub(super) fn new(ends: [End; 2]) -> Self {
        let now = Instant::from_millis(1);
        Self {
            now,
            ends,
            under_way: BTreeMap::new(),
            frames: 0,
            is_traced: env::var_os(TRACE).is_some(),
            wakes: [Some(now); 2],
        }
    }

    /// Runs until all is said and every connection is gone.
    pub(super) fn run(&mut self, limit: Duration) -> Result<Outcome, String> {
        let start = self.now;
        let mut done_after = None;
        loop {
            self.attend()?;
            if done_after.is_none() && self.ends.iter().all(|end| end.program.is_done()) {
                done_after = Some(self.now - start);
            }
            if let Some(done_after) = done_after
                && self.ends.iter_mut().all(|end| end.host.connection_count() == 0)
            {
                return Ok(Outcome { done_after, gone_after: self.now - start, frames: self.frames });
            }
            self.go_on(start + limit)?;
        }
    }

    /// Runs until the second program has read `bytes`, or time is over. Returns how many it has read, and in which time.
    pub(super) fn run_to(&mut self, bytes: usize, limit: Duration) -> Result<(usize, Duration), String> {
        let start = self.now;
        while self.ends[1].program.progress() < bytes && self.go_on(start + limit).is_ok() {
            self.attend()?;
        }
        Ok((self.ends[1].program.progress(), self.now - start))
    }

    /// Checks both hosts' tables.
    pub(super) fn audit(&mut self) {
        for end in &mut self.ends {
            end.host.audit();
        }
    }

    /// Goes to the next moment at which something happens.
    fn go_on(&mut self, end: Instant) -> Result<(), String> {
        let arrival = self.under_way.keys().next().map(|(at, _)| *at);
        let next = self.wakes.into_iter().flatten().chain(arrival).min();
        let Some(next) = next else {
            return Err(format!("nothing will ever happen again, {}", self.state()));
        };
        if next > end {
            return Err(format!("it takes too long, {}", self.state()));
        }
        self.now = next.max(self.now + Duration::from_micros(1));
        Ok(())
    }

    /// Lets those work for whom there is something to do now.
    fn attend(&mut self) -> Result<(), String> {
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, frame) = entry.remove();
            self.ends[to].host.arrive(frame);
            self.wakes[to] = Some(self.now);
        }
        for number in 0..self.ends.len() {
            if self.wakes[number].is_some_and(|at| at <= self.now) {
                self.work(number)?;
            }
        }
        Ok(())
    }

    fn work(&mut self, number: usize) -> Result<(), String> {
        let (now, end) = (self.now, &mut self.ends[number]);
        let mut sent = Vec::new();
        end.host.work(now, &mut sent);
        end.program.run(now, &mut *end.host)?;
        end.host.work(now, &mut sent);
        self.wakes[number] = [end.host.deadline(now), end.program.deadline(now)].into_iter().flatten().min();
        for frame in sent {
            if self.is_traced {
                trace(now, end.host.name(), &frame);
            }
            for (at, frame) in end.channel.carry(now, frame) {
                self.frames += 1;
                self.under_way.insert((at, self.frames), (1 - number, frame));
            }
        }
        Ok(())
    }

    fn state(&mut self) -> String {
        let [first, second] = self.ends.each_mut().map(|end| {
            let (name, read, left) = (end.host.name(), end.program.progress(), end.host.connection_count());
            format!("{name} has read {read} bytes and has {left} connections")
        });
        format!("{} s: {first}, {second}", self.now.secs())
    }
}

fn trace(now: Instant, sender: &str, frame: &[u8]) {
    let text = PrettyPrinter::<EthernetFrame<&[u8]>>::new("", &frame).to_string();
    eprintln!("{now} from {sender}: {}", text.replace('\n', ""));
}

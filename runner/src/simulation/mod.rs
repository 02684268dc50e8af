//! Whole guests on a made-up wire, in made-up time: a run that repeats bit for bit.
//!
//! Each guest is a process of its own that goes in lockstep with this simulation
//! ([`abi::hosted::network::LOCKSTEP`]): it runs until it has nothing to do, says until when, and is told what time it is and
//! what comes in then. One event is handed out at a time, so nothing depends on how the host schedules processes. Loss,
//! delay and duplicates follow from the seed, and so does what guests take for chance.

mod member;
mod wire;

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::time::{Duration, Instant};

use crate::hosted;
use crate::machine::{Accelerator, Machine, MachineConfig, MachineError, Outcome};
use crate::network::Network;
pub use member::LockstepSocket;
use member::{Member, Said};
use wire::Cable;
pub use wire::Wire;

/// A run that came to its end.
#[derive(Debug)]
pub struct Trace {
    /// How the last guest ended.
    pub outcome: Outcome,
    /// What all guests sent, when they slept and what came in, in one number: equal for runs that are.
    pub hash: u64,
    /// When the last guest ended, in nanoseconds of made-up time.
    pub end_ns: u64,
    /// Frames that guests sent.
    pub sent: u64,
    /// Those of them that were lost.
    pub lost: u64,
}

/// Why a run came to no end.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// A guest did not start or did not end well.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The host refused something.
    #[error("cannot simulate a network: {0}")]
    Host(#[from] io::Error),
    /// All guests wait for ever.
    #[error(
        "all guests wait and nothing will ever come, {end_ns} ns after the start; their consoles said:\n{consoles}"
    )]
    Stuck {
        /// When.
        end_ns: u64,
        /// What the guests printed.
        consoles: String,
    },
    /// It took too long in the host's time.
    #[error("the run still went on after {} s", limit.as_secs())]
    TimedOut {
        /// How long it had.
        limit: Duration,
    },
}

/// Runs `guests` as processes on one wire until the last of them ends, then ends the others. What their configurations say
/// of place and network is passed over. `limit` is the host's time.
///
/// # Errors
///
/// See [`SimulationError`].
pub fn run(
    guests: &[MachineConfig],
    wire: &Wire,
    seed: u64,
    limit: Duration,
) -> Result<Trace, SimulationError> {
    let mut machines = Vec::new();
    let mut members = Vec::new();
    for (index, config) in (0..).zip(guests) {
        let (member, socket) = Member::new()?;
        let mut config = config.clone();
        config.accelerator = Accelerator::Hosted;
        config.network = Network::Lockstep(socket);
        config.command_line = config.command_line.word(&hosted::seed_word(seed.wrapping_add(index)));
        machines.push(Machine::start(&config)?);
        members.push(member);
    }
    let deadline = Instant::now() + limit;
    let mut simulation =
        Simulation { members, cable: Cable::new(wire, seed), hasher: DefaultHasher::new(), now_ns: 0 };
    let end = simulation.run(deadline);
    // Guests whose other end is gone go on by themselves; nothing that they say counts any more.
    let Simulation { cable, hasher, now_ns, .. } = simulation;
    match end {
        End::Last => {}
        End::Stuck => {
            let consoles = machines.iter().map(Machine::console).collect::<Vec<_>>().join("\n");
            return Err(SimulationError::Stuck { end_ns: now_ns, consoles });
        }
        End::TimedOut => return Err(SimulationError::TimedOut { limit }),
    }
    let last = machines.pop().ok_or_else(|| io::Error::other("there is no guest"))?;
    let outcome = last.wait(deadline.saturating_duration_since(Instant::now()))?;
    let (sent, lost) = cable.counts();
    Ok(Trace { outcome, hash: hasher.finish(), end_ns: now_ns, sent, lost })
}

/// How a run ended.
enum End {
    Last,
    Stuck,
    TimedOut,
}

struct Simulation {
    members: Vec<Member>,
    cable: Cable,
    hasher: DefaultHasher,
    now_ns: u64,
}

impl Simulation {
    fn run(&mut self, deadline: Instant) -> End {
        for index in 0..self.members.len() {
            if !self.listen(index, deadline) {
                return End::TimedOut;
            }
        }
        while self.members.last().is_some_and(Member::is_there) {
            if Instant::now() >= deadline {
                return End::TimedOut;
            }
            let Some(index) = self.hand_out() else { return End::Stuck };
            if !self.listen(index, deadline) {
                return End::TimedOut;
            }
        }
        End::Last
    }

    /// Hands the next event out and returns who got it; `None`: there is none.
    fn hand_out(&mut self) -> Option<usize> {
        let waking =
            self.members.iter().enumerate().filter_map(|(index, member)| Some((member.deadline()?, index)));
        let waking = waking.min();
        let arriving = self.cable.next_arrival();
        if let Some(at) = arriving
            && waking.is_none_or(|(deadline, _)| at <= deadline)
        {
            let (index, frame) = self.cable.take()?;
            self.now_ns = self.now_ns.max(at);
            self.note(b"in", index, &frame);
            self.members[index].tell(self.now_ns, &frame);
            return Some(index);
        }
        let (deadline, index) = waking?;
        self.now_ns = self.now_ns.max(deadline);
        self.members[index].tell(self.now_ns, &[]);
        Some(index)
    }

    /// Takes what a guest says until it sleeps or is gone, and tells whether that was before `deadline`.
    fn listen(&mut self, index: usize, deadline: Instant) -> bool {
        loop {
            match self.members[index].hear(deadline) {
                Said::Frame(frame) => {
                    self.note(b"out", index, &frame);
                    self.cable.send(self.now_ns, index, self.members.len(), &frame);
                }
                Said::Sleeps(until) => {
                    self.note(b"sleep", index, &until.to_le_bytes());
                    return true;
                }
                Said::Nothing => {
                    self.note(b"end", index, &[]);
                    return true;
                }
                Said::TooLate => return false,
            }
        }
    }

    fn note(&mut self, what: &[u8], index: usize, bytes: &[u8]) {
        self.hasher.write(what);
        self.hasher.write_usize(index);
        self.hasher.write_u64(self.now_ns);
        self.hasher.write(bytes);
    }
}

#[cfg(test)]
mod tests;

//! Waits for interrupts of a device at the moment at which they come, and counts those that did not wake it.
//!
//! It asks the entropy device, because that one answers by itself; the test gives it a rate, so that it answers from a
//! timer of its own and not at once. Every other round asks for the interrupt only after it has computed, as a driver
//! does that looked for work first.
#![no_std]
#![no_main]

use abi::info::EVENT_CONSOLE;
use metaos_test_guests::race::{self, Delays, compute, compute_until};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, say};
use services::io::device::{DeviceError, DeviceQueue, VirtioDevice};
use services::io::dma::BufferPool;
use services::io::virtqueue::{Buffer, Direction};
use services::{clock, machine};

entry::main!(main);

const ROUNDS: u64 = 4000;
/// How long the device may take while it is measured.
const FAR_NS: u64 = 1_000_000_000;
/// The test hears of every so many rounds.
const NEWS: u64 = 64;
const NEVER: u64 = u64::MAX;
const KIND_ENTROPY: u32 = 4;
const BYTES: u32 = 8;

/// The device and what of it this guest saw.
struct Race {
    queue: DeviceQueue,
    pool: BufferPool,
    event: usize,
    slept: u64,
    lost: u64,
}

/// When the interrupt is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    AskThenCompute,
    ComputeThenAsk,
}

fn main() -> ExitCode {
    attempting("lose a wake-up by a device");
    match race() {
        Ok(outcome) => conclude(outcome),
        Err(error) => {
            say(format_args!("the device does not work: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn race() -> Result<Outcome, DeviceError> {
    let Some(mut device) = VirtioDevice::find(KIND_ENTROPY)? else {
        say(format_args!("there is no entropy device"));
        return Ok(Outcome::NotCaught);
    };
    device.begin(|_| 0)?;
    let queue = device.queue(0, 4, "entropy rings")?;
    let pool = BufferPool::new(1, BYTES as usize, "entropy buffer")?;
    device.start();
    let event = device.events().next().unwrap_or_default();
    let mut race = Race { queue, pool, event, slept: 0, lost: 0 };
    let (mut asking, mut looking) = (Delays::new(), Delays::new());
    let mut rounds = 0;
    for round in race::rounds(ROUNDS) {
        match round % 2 {
            0 => race.run(Order::AskThenCompute, &mut asking)?,
            _ => race.run(Order::ComputeThenAsk, &mut looking)?,
        }
        rounds = round + 1;
        if race.lost > 0 {
            break;
        }
        if rounds % NEWS == 0 {
            say(format_args!("<{}>", round / NEWS));
        }
    }
    device.stop()?;
    say(format_args!("delays {asking} and {looking}, slept {} times", race.slept));
    say(format_args!("{} of {rounds} wake-ups lost", race.lost));
    // Where it never slept nothing was raced.
    Ok(Outcome::held_if(race.lost == 0 && race.slept > 0))
}

impl Race {
    fn run(&mut self, order: Order, delays: &mut Delays) -> Result<(), DeviceError> {
        if order == Order::AskThenCompute {
            // No answer can be here: nothing was asked.
            self.queue.rings.enable_interrupts()?;
        }
        let buffer = Buffer { bus: self.pool.bus(0), length: BYTES, direction: Direction::FromDevice };
        self.queue.rings.add(&[buffer], 0)?;
        let seen = machine::info().events_seen();
        let count = machine::info().event(self.event);
        self.queue.publish();
        match (delays.next_ns(), order) {
            (Some(delay), _) => compute(delay),
            (None, Order::AskThenCompute) => delays.measured(compute_until(self.event, count, FAR_NS)),
            (None, Order::ComputeThenAsk) => delays.measured(self.compute_until_answered()?),
        }
        if order == Order::AskThenCompute || !self.queue.rings.enable_interrupts()? {
            self.wait(seen)?;
        }
        self.take()
    }

    /// Waits until something happens beyond `seen`.
    fn wait(&mut self, seen: u64) -> Result<(), DeviceError> {
        let nudges = machine::info().event(EVENT_CONSOLE);
        self.slept += u64::from(machine::info().events_seen() == seen);
        machine::current().wait(NEVER, seen);
        // What the test types wakes a guest that sleeps although its answer is here.
        let is_nudged = machine::info().event(EVENT_CONSOLE) != nudges;
        self.lost += u64::from(is_nudged && self.queue.rings.has_completions()?);
        Ok(())
    }

    /// Computes until the answer is here, and returns how long that took.
    fn compute_until_answered(&mut self) -> Result<u64, DeviceError> {
        let start = clock::now_ns();
        while !self.queue.rings.has_completions()? && clock::now_ns() - start < FAR_NS {}
        Ok(clock::now_ns() - start)
    }

    /// Takes the answer.
    fn take(&mut self) -> Result<(), DeviceError> {
        let end = clock::now_ns() + FAR_NS;
        while self.queue.rings.pop()?.is_none() && clock::now_ns() < end {}
        self.queue.rings.suppress_interrupts();
        Ok(())
    }
}

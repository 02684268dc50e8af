//! Waits for input at the moment at which it is typed, by the library OS, and counts the wake-ups that did not come.
//! The test answers each line with [`ANSWER`], and with something else if the next line does not come.
#![no_std]
#![no_main]

use abi::info::EVENT_CONSOLE;
use libos::io::{Read, stdin};
use metaos_test_guests::race::{self, Delays, compute, compute_until};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, say};
use services::machine;

entry::main!(main);

const ROUNDS: u64 = 6000;
const ANSWER: u8 = b'x';
/// How long the test may take for a byte, in ns.
const PATIENCE_NS: u64 = 1_000_000_000;

fn main() -> ExitCode {
    attempting("lose a wake-up by input");
    let mut delays = Delays::new();
    let (mut lost, mut rounds) = (0, 0);
    for round in race::rounds(ROUNDS) {
        rounds = round + 1;
        if is_nudged(round, &mut delays) {
            // The answer of the round before woke nobody.
            lost += 1;
            break;
        }
    }
    say(format_args!("delays {delays}"));
    say(format_args!("{lost} of {rounds} wake-ups lost"));
    conclude(Outcome::held_if(lost == 0))
}

fn is_nudged(round: u64, delays: &mut Delays) -> bool {
    let seen = machine::info().event(EVENT_CONSOLE);
    say(format_args!("<{round}>"));
    match delays.next_ns() {
        Some(delay) => compute(delay),
        None => delays.measured(compute_until(EVENT_CONSOLE, seen, PATIENCE_NS)),
    }
    let mut byte = [0];
    let count = stdin().read(&mut byte);
    assert_eq!(count, Ok(1), "the test types a byte for each line");
    byte != [ANSWER]
}

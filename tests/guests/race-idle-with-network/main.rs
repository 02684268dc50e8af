//! Waits for datagrams at the moment at which they come, by the library OS, and counts the wake-ups that did not come.
//! The argument is the address of a host that sends each datagram back, and once more with a byte behind it if the next
//! one does not come.
#![no_std]
#![no_main]

use libos::env;
use libos::io::Result;
use libos::net::UdpSocket;
use metaos_test_guests::race::{self, Delays, compute};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, say};
use services::clock;

entry::main!(main);

const ROUNDS: u64 = 10_000;
/// Datagrams may get lost, but not many on the way to this host.
const MOST_UNANSWERED: u64 = 10;

/// What came of a round.
enum Round {
    Woken,
    Nudged,
    Unanswered,
}

fn main() -> ExitCode {
    attempting("lose a wake-up by the network");
    match race() {
        Ok(outcome) => conclude(outcome),
        Err(error) => {
            say(format_args!("the network does not work: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn race() -> Result<Outcome> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(env::args().nth(1).unwrap_or_default())?;
    let mut delays = Delays::new();
    let (mut lost, mut unanswered, mut rounds) = (0, 0, 0);
    for round in race::rounds(ROUNDS) {
        rounds = round + 1;
        match run(&socket, round, &mut delays)? {
            Round::Woken => {}
            // The answer of the round before woke nobody.
            Round::Nudged => lost += 1,
            Round::Unanswered => unanswered += 1,
        }
        if lost > 0 || unanswered > MOST_UNANSWERED {
            break;
        }
    }
    say(format_args!("delays {delays}, {unanswered} datagrams lost"));
    say(format_args!("{lost} of {rounds} wake-ups lost"));
    Ok(Outcome::held_if(lost == 0 && unanswered <= MOST_UNANSWERED))
}

fn run(socket: &UdpSocket, round: u64, delays: &mut Delays) -> Result<Round> {
    let begun = clock::now_ns();
    let delay = delays.next_ns();
    socket.send(&round.to_le_bytes())?;
    compute(delay.unwrap_or(0));
    let mut answer = [0; 9];
    let length = socket.recv(&mut answer)?;
    let (number, nudge) = answer.split_at(8);
    match (number == round.to_le_bytes(), nudge.len() + 8 == length) {
        (true, false) => {}
        (true, true) => return Ok(Round::Unanswered),
        (false, _) => return Ok(Round::Nudged),
    }
    if delay.is_none() {
        delays.measured(clock::now_ns() - begun);
    }
    Ok(Round::Woken)
}

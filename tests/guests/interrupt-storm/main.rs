//! Holds values in every register while timer interrupts come.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, registers, say};
use services::machine;

entry::main!(main);

const TICKS: u64 = 100;
/// Shorter than the machine allows: it takes the shortest that leaves the guest time.
const SHORTEST_NS: u64 = 1;

fn main() -> ExitCode {
    attempting("hold values in registers while interrupts come");
    machine::current().set_tick(SHORTEST_NS);
    let kept = registers::hold_through_ticks(TICKS);
    machine::current().set_tick(0);
    say(format_args!("{kept:?} after {TICKS} ticks"));
    conclude(Outcome::held_if(kept == registers::Kept::All))
}

//! Holds values in the wide registers while timer interrupts come: ring 0 saves their lower halves only.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, registers, say};
use services::machine;

entry::main!(main);

const TICKS: u64 = 50;

fn main() -> ExitCode {
    attempting("hold values in wide registers while interrupts come");
    machine::current().set_tick(1);
    let kept = registers::hold_wide_through_ticks(TICKS);
    machine::current().set_tick(0);
    say(format_args!("{kept:?} after {TICKS} ticks"));
    conclude(Outcome::held_if(kept == registers::Kept::All))
}

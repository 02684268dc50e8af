//! A program below the guest image spins; ticks interrupt it, and it goes on as if nothing had been.
#![no_std]
#![no_main]

use abi::upcall::{CpuBlock, UpcallKind};
use core::sync::atomic::{AtomicU64, Ordering};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, program, say};
use services::{machine, upcall};

entry::main!(main);

const TICKS: u64 = 50;

/// Ticks that hit the program.
static HITS: AtomicU64 = AtomicU64::new(0);
/// What the program waits for.
static IS_OVER: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    attempting("run a program under ticks");
    let program = match program::load() {
        Ok(program) => program,
        Err(error) => {
            say(format_args!("the program is not loaded: {error}"));
            return ExitCode::FAILURE;
        }
    };
    upcall::set_handler(UpcallKind::Tick, count);
    machine::current().set_tick(200_000);
    let kept = program.run(&IS_OVER);
    machine::current().set_tick(0);
    let hits = HITS.load(Ordering::Relaxed);
    say(format_args!("{kept:?} after {hits} ticks in the program"));
    conclude(Outcome::held_if(kept == program::Kept::All && hits >= TICKS))
}

/// Counts a tick if it hit the program, and leaves nothing in the registers as it was.
fn count(block: &'static CpuBlock) {
    let rip = block.load_registers().rip;
    let is_in_program = program::contains(rip);
    let hits = HITS.fetch_add(u64::from(is_in_program), Ordering::Relaxed);
    metaos_test_guests::registers::spoil();
    if hits + 1 >= TICKS || !is_in_program {
        IS_OVER.store(1, Ordering::Relaxed);
    }
}

//! Returns from an upcall with an x87 exception pending, which ring 0 must not stumble over.
#![no_std]
#![no_main]

use abi::upcall::CpuBlock;
use core::sync::atomic::Ordering;
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, crime, registers, say};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall with an x87 exception pending");
    crime::in_upcall(forge);
    // Through ring 0 and back, which must save and load that state as it is.
    machine::current().wait(0, machine::info().events_seen());
    say(format_args!("ring 0 did not stumble"));
    let _ = registers::take_mxcsr();
    conclude(Outcome::Held)
}

fn forge(block: &'static CpuBlock) {
    // Control word 0: nothing masked; status word: every exception has happened (SDM 1 8.1.3).
    block.floating_point[0].store(0x00bf_0000, Ordering::Relaxed);
}

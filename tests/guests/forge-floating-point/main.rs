//! Returns from an upcall with floating-point state that no CPU can load.
#![no_std]
#![no_main]

use abi::upcall::CpuBlock;
use core::sync::atomic::Ordering;
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, crime, registers, say};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return from an upcall with reserved bits in MXCSR");
    crime::in_upcall(forge);
    let loaded = registers::take_mxcsr();
    say(format_args!("MXCSR is {loaded:#x}"));
    conclude(Outcome::held_if(loaded & 0xffff_0000 == 0))
}

fn forge(block: &'static CpuBlock) {
    for word in &block.floating_point {
        word.store(u64::MAX, Ordering::Relaxed);
    }
}

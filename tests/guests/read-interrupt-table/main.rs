//! Asks where the interrupt table lies, which UMIP keeps from ring 3.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU64;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught, run};

entry::main!(main);

static TABLE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn main() -> ExitCode {
    attempting("read where the interrupt table lies");
    run!("sidt [{}]", in(reg) crime::address_of(&TABLE).0);
    not_caught()
}

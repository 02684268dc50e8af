//! Loads an interrupt table of its own.
#![no_std]
#![no_main]

use core::sync::atomic::AtomicU64;
use metaos_test_guests::{ExitCode, attempting, crime, not_caught, run};

entry::main!(main);

static TABLE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn main() -> ExitCode {
    attempting("load an interrupt table");
    run!("lidt [{}]", in(reg) crime::address_of(&TABLE).0);
    not_caught()
}

//! Flushes a page of the translation cache.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("flush a page");
    run!("invlpg [{}]", in(reg) 0x1_0000_u64);
    not_caught()
}

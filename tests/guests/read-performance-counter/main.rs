//! Reads a performance counter.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read a performance counter");
    run!("rdpmc", in("ecx") 0, out("eax") _, out("edx") _);
    not_caught()
}

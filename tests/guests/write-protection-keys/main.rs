//! Writes the protection-key register, which no guest is given.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write the protection keys");
    run!("wrpkru", in("eax") 0, in("ecx") 0, in("edx") 0);
    not_caught()
}

//! Enables the protection-key register for XRSTOR.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write XCR0");
    run!("xsetbv", in("ecx") 0, in("eax") 0x207, in("edx") 0);
    not_caught()
}

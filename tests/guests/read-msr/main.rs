//! Reads a model-specific register.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("read the EFER register");
    run!("rdmsr", in("ecx") 0xc000_0080_u32, out("eax") _, out("edx") _);
    not_caught()
}

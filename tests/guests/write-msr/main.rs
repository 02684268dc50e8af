//! Writes a model-specific register: where system calls enter.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("write the LSTAR register");
    run!("wrmsr", in("ecx") 0xc000_0082_u32, in("eax") 0, in("edx") 0);
    not_caught()
}

//! Returns from an interrupt that never was, to ring 0.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return to ring 0 by an interrupt return");
    run!(
        "mov {scratch}, rsp",
        "push 0x10",
        "push {scratch}",
        "push 0x02",
        "push 0x08",
        "lea {scratch}, [rip + 2f]",
        "push {scratch}",
        "iretq",
        "2:",
        scratch = out(reg) _,
    );
    not_caught()
}

//! Returns to a code segment of ring 0.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("return to ring 0");
    run!(
        "push 0x08",
        "lea {scratch}, [rip + 2f]",
        "push {scratch}",
        "retfq",
        "2:",
        scratch = out(reg) _,
    );
    not_caught()
}

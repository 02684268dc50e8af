//! Steps through its own code.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("single-step");
    run!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop");
    not_caught()
}

//! Single-steps over a system call, which must not trap in ring 0.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("single-step into ring 0");
    run!("pushfq", "or qword ptr [rsp], 0x100", "popfq", "syscall", inout("rax") 0_u64 => _, out("rcx") _, out("r11") _);
    not_caught()
}

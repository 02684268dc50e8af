//! Sets the flag of the alignment check, under which much compiled code faults, and then faults.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, flags, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("fault with the alignment check on");
    run!("pushfq", "or qword ptr [rsp], {flag}", "popfq", "mov rax, [rax]",
        flag = const flags::ALIGNMENT_CHECK, inout("rax") 0_u64 => _);
    not_caught()
}

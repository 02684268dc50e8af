//! Makes a system call of 32-bit Linux.
#![no_std]
#![no_main]

use metaos_test_guests::{ExitCode, attempting, not_caught, run};

entry::main!(main);

fn main() -> ExitCode {
    attempting("make a system call by int 0x80");
    run!("int 0x80", inout("rax") 1_u64 => _, out("rcx") _, out("r11") _);
    not_caught()
}

//! Points GS to the nucleus, makes Machine calls and an upcall, and lives on.
#![no_std]
#![no_main]

use abi::upcall::CpuBlock;
use abi::{Call, Error, layout};
use metaos_test_guests::{ExitCode, attempting, call::expect_refusal, conclude, crime, registers};

entry::main!(main);

fn main() -> ExitCode {
    attempting("point GS to the nucleus");
    registers::set_gs_base(layout::NUCLEUS.0);
    let refused = expect_refusal(
        "print the nucleus",
        Call::ConsoleWrite,
        [layout::NUCLEUS.0, 16, 0],
        Error::BadAddress,
    );
    crime::in_upcall(ignore);
    registers::set_gs_base(layout::CPU_BLOCKS.0);
    conclude(refused)
}

fn ignore(_: &'static CpuBlock) {}

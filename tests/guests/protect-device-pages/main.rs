//! Asks for other rights on DMA memory and on a device window, and for the window to be unmapped.
#![no_std]
#![no_main]

use abi::{Access, Call, Error, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, Outcome, call::expect_refusal, conclude};
use services::machine;

entry::main!(main);

const READ_EXECUTE: u64 = Access::READ_EXECUTE.bits() as u64;

fn main() -> ExitCode {
    let (dma, window) = (layout::PACKET_POOL, layout::DEVICE_WINDOWS);
    let is_ready = machine::current().map_dma(dma, PAGE_SIZE, PAGE_SIZE).is_ok()
        && machine::current().map_window(0, 0, window).is_ok();
    let refused = |what: &str, call: Call, address: u64| {
        expect_refusal(what, call, [address, PAGE_SIZE as u64, READ_EXECUTE], Error::NotMapped)
    };
    conclude(
        Outcome::held_if(is_ready)
            .and(refused("make DMA memory executable", Call::Protect, dma.0))
            .and(refused("make a device window executable", Call::Protect, window.0))
            .and(refused("unmap a device window", Call::Unmap, window.0)),
    )
}

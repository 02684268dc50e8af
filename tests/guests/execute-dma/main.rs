//! Executes DMA memory.
#![no_std]
#![no_main]

use abi::{PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, attempting, crime, not_caught};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    let page = layout::PACKET_POOL;
    if machine::current().map_dma(page, PAGE_SIZE, PAGE_SIZE).is_err() {
        return ExitCode::FAILURE;
    }
    attempting("execute DMA memory");
    crime::jump_to(page);
    not_caught()
}

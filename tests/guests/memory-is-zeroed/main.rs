//! Looks for what was left in memory that it is given again, small pages, large ones and DMA.
#![no_std]
#![no_main]

use abi::address::LARGE_PAGE_SIZE;
use abi::{Access, PAGE_SIZE, layout};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, crime};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    attempting("find old bytes in new memory");
    let rounds = (0..8).flat_map(|_| [PAGE_SIZE, 16 * PAGE_SIZE, LARGE_PAGE_SIZE]);
    conclude(rounds.map(|bytes| fill_new_memory(bytes).and(fill_new_dma_memory(PAGE_SIZE))).collect())
}

/// Maps memory, looks whether it is zero, fills it and gives it back.
fn fill_new_memory(bytes: usize) -> Outcome {
    let (machine, start) = (machine::current(), layout::MMAP_AREA);
    let is_mapped = machine.map(start, bytes, Access::READ_WRITE).is_ok();
    let is_zero = is_mapped && crime::is_zero_then_fill(start, bytes);
    Outcome::held_if(is_zero && machine.unmap(start, bytes).is_ok())
}

fn fill_new_dma_memory(bytes: usize) -> Outcome {
    let (machine, start) = (machine::current(), layout::PACKET_POOL);
    let is_mapped = machine.map_dma(start, bytes, PAGE_SIZE).is_ok();
    let is_zero = is_mapped && crime::is_zero_then_fill(start, bytes);
    Outcome::held_if(is_zero && machine.unmap(start, bytes).is_ok())
}

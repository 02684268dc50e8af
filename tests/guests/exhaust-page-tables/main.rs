//! Maps pages so far apart that each needs a page table, until there is none; gives them back and maps elsewhere.
#![no_std]
#![no_main]

use abi::address::LARGE_PAGE_SIZE;
use abi::{Access, Error, PAGE_SIZE, VirtAddr, layout};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, say};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    attempting("use up all page tables");
    let count = take_and_give_back(layout::MMAP_AREA);
    let again = take_and_give_back(VirtAddr(layout::MMAP_AREA.0 + (1 << 40)));
    say(format_args!("{count} pages, then {again}"));
    conclude(Outcome::held_if(count > 8 && again == count))
}

/// Maps a page in each stretch of a page table until the machine refuses, unmaps them, and returns how many there were.
fn take_and_give_back(start: VirtAddr) -> usize {
    let machine = machine::current();
    let address = |page: usize| VirtAddr(start.0 + (page * LARGE_PAGE_SIZE) as u64);
    let mut pages = 0;
    let error = loop {
        match machine.map(address(pages), PAGE_SIZE, Access::READ_WRITE) {
            Ok(()) => pages += 1,
            Err(error) => break error,
        }
    };
    say(format_args!("refused: {error}"));
    let is_freed = (0..pages).all(|page| machine.unmap(address(page), PAGE_SIZE).is_ok());
    if error == Error::OutOfTables && is_freed { pages } else { 0 }
}

//! Maps memory until there is none, gives it back and takes it again. What it has given back it cannot give back twice.
#![no_std]
#![no_main]

use abi::{Access, Error, PAGE_SIZE, VirtAddr, layout};
use metaos_test_guests::{ExitCode, Outcome, attempting, conclude, say};
use services::machine;

entry::main!(main);

fn main() -> ExitCode {
    attempting("map all memory there is");
    let counts = [(); 3].map(|()| take_and_give_back());
    say(format_args!("{counts:?} pages"));
    conclude(Outcome::held_if(counts[0] > 1000 && counts.iter().all(|count| *count == counts[0])))
}

/// Maps page after page until the machine refuses, unmaps them, and returns how many there were.
fn take_and_give_back() -> usize {
    let machine = machine::current();
    let address = |page: usize| VirtAddr(layout::MMAP_AREA.0 + (page * PAGE_SIZE) as u64);
    let mut pages = 0;
    let error = loop {
        match machine.map(address(pages), PAGE_SIZE, Access::READ_WRITE) {
            Ok(()) => pages += 1,
            Err(error) => break error,
        }
    };
    say(format_args!("refused: {error}"));
    let is_freed = (0..pages).all(|page| machine.unmap(address(page), PAGE_SIZE).is_ok());
    let gone = [PAGE_SIZE, pages * PAGE_SIZE].map(|bytes| machine.unmap(address(0), bytes));
    let is_gone = gone.iter().all(|outcome| *outcome == Err(Error::NotMapped));
    if error == Error::OutOfMemory && is_freed && is_gone { pages } else { 0 }
}

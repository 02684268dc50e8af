//! From what the loader left to a running guest, in order.
//!
//! The loader (PVH or multiboot2) enters in 32-bit mode; [`entry`] switches to 64-bit mode under early page tables
//! that identity-map the low 4 GiB. Under them [`handoff`] copies all that the loader says, and the final tables are
//! built. Once these are loaded, no more of physical memory is mapped than the nucleus's own pages and one window.

#[cfg(not(test))]
mod entry;
mod handoff;
mod image;
mod memory_map;
mod multiboot2;
mod ports;
mod pvh;
mod reader;

pub use handoff::Handoff;
pub use image::Image;
pub use memory_map::{MemoryMap, Range};
pub use ports::PortSpace;

use crate::apic::LocalApic;
use crate::clock::Clock;
use crate::cpu::{self, Features};
use crate::devices::{self, Request};
use crate::memory::Memory;
use crate::state::Nucleus;
use crate::{command_line, guest, layout, power, report, serial, state};
use abi::boot::{Device, MAX_DEVICES};
use spin::Mutex;

/// What the loader handed over: too large for the boot stack.
static HANDOFF: Mutex<Handoff> = Mutex::new(Handoff::new());

/// Boots: called by [`entry`] on the boot stack, with `loader` one of the loaders' numbers, `information` the physical
/// address of what the loader says, `load_address` where the first byte of the image lies.
pub extern "C" fn nucleus_main(loader: u32, information: u32, load_address: u32) -> ! {
    serial::initialise(serial::CONSOLE);
    let mut handoff = HANDOFF.lock();
    match loader {
        pvh::LOADER => pvh::read(u64::from(information), &mut handoff),
        multiboot2::LOADER => multiboot2::read(u64::from(information), &mut handoff),
        _ => {}
    }
    if command_line::has_control_channel(handoff.command_line()) {
        serial::initialise(serial::CONTROL);
        report::use_control_channel();
    }
    if handoff.memory.is_empty() {
        report::refuse("the loader gave no memory map: boot the image by PVH or multiboot2");
    }
    let image = image::read(u64::from(load_address));
    let features = cpu::enable_protection();
    let memory = final_tables(&handoff, &image, features);
    cpu::load_tables();
    power::silence_legacy_interrupts();
    start(memory, features, &handoff, &image)
}

fn final_tables(handoff: &Handoff, image: &Image, features: Features) -> Memory {
    let mut memory = Memory::new(handoff, image, features.address_bits);
    memory.map_segments(image);
    memory.leave_boot_tables(handoff.memory.end_below(layout::MAX_PHYSICAL));
    for index in 0..layout::STACK_COUNT {
        memory.map_fresh(layout::stack_bottom(index), layout::STACK_SIZE);
    }
    memory
}

fn start(mut memory: Memory, features: Features, handoff: &Handoff, image: &Image) -> ! {
    let apic = LocalApic::new(&mut memory, features);
    let clock = Clock::calibrate(&apic);
    let mut devices = [Device::default(); MAX_DEVICES];
    let request = Request {
        rsdp: handoff.rsdp,
        command_line: handoff.command_line(),
        ram: &handoff.memory.physical_ranges(),
        address_bits: features.address_bits,
        destination: apic.id(),
    };
    let found = devices::discover(&mut memory, &mut PortSpace, &request, &mut devices);
    let mut nucleus = Nucleus { memory, apic, clock, features, upcall: None, tick: None };
    let start = guest::prepare(&mut nucleus, image, handoff, &devices[..found.count]);
    serial::enable_receive_interrupts(&mut nucleus.memory, &found);
    state::install(nucleus);
    guest::enter(&start)
}

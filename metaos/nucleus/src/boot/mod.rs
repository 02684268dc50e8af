//! From what the loader left to a running guest, in order.
//!
//! The loader (PVH or multiboot2) enters in 32-bit mode; [`entry`] switches to 64-bit mode under early page tables
//! that identity-map the low 4 GiB. Under them [`loader`] copies all that the loader says, and the final tables are
//! built. Once these are loaded, no more of physical memory is mapped than the nucleus's own pages and one window.

#[cfg(not(test))]
mod entry;
mod image;
mod loader;

pub(crate) use image::Image;
pub(crate) use loader::Handoff;

use crate::serial::{CONSOLE, CONTROL};
use crate::state::{self, Nucleus};
use crate::{
    apic, clock::Clock, command_line::has_control_channel, cpu, devices, guest, layout, memory::Memory,
    report,
};
use abi::PAGE_SIZE;
use spin::Mutex;

/// What the loader handed over: too large for the boot stack.
static HANDOFF: Mutex<Handoff> = Mutex::new(Handoff::new());

/// Boots: called by `entry` on the boot stack, with `loader` one of the loaders' numbers, `information` the physical
/// address of what the loader says, `load_address` where the first byte of the image lies.
pub extern "C" fn nucleus_main(loader: u32, information: u32, load_address: u32) -> ! {
    CONSOLE.initialise();
    let mut handoff = HANDOFF.lock();
    loader::take(loader, u64::from(information), &mut handoff);
    if has_control_channel(&handoff.command_line) {
        CONTROL.initialise();
    }
    if handoff.free.is_empty() {
        report::refuse("the loader gave no memory map: boot the image by PVH or multiboot2");
    }
    let image = Image::read(u64::from(load_address));
    cpu::enable_protection();
    let mut memory = Memory::new(&handoff, &image, cpu::physical_end());
    for page in layout::stacks().flat_map(|stack| stack.step_by(PAGE_SIZE)) {
        memory.map_fresh(page);
    }
    cpu::load_tables();
    start(memory, &handoff, &image)
}

fn start(mut memory: Memory, handoff: &Handoff, image: &Image) -> ! {
    let request = devices::Request {
        has_acpi: handoff.has_acpi,
        command_line: &handoff.command_line,
        ram: &handoff.ram,
        physical_end: cpu::physical_end(),
        destination: apic::enable(&mut memory),
    };
    let clock = Clock::calibrate();
    let devices = devices::discover(&mut memory, &request);
    CONSOLE.enable_receive_interrupts();
    CONTROL.enable_receive_interrupts();
    report::ready();
    guest::prepare(&mut memory, &clock, image, &handoff.command_line, &devices);
    state::install(Nucleus { memory, clock, upcall: None, tick_ns: u64::MAX, tick_due_ns: u64::MAX });
    guest::enter(image.table.guest_entry)
}

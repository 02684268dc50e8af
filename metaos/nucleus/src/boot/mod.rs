//! From what the loader left to a running guest, in order.
//!
//! The loader (PVH or multiboot2) enters in 32-bit mode; [`entry`] switches to 64-bit mode under early page tables
//! that identity-map the low 4 GiB. Under them [`loader`] copies all that the loader says, and the final tables are
//! built. Once these are loaded, no more of physical memory is mapped than the nucleus's own pages and one window.

#[cfg(not(test))]
mod entry;
mod handoff;
mod image;
mod loader;

pub(crate) use handoff::{Handoff, Ranges};
pub(crate) use image::Image;

use crate::{
    apic, clock::Clock, command_line::has_control_channel, cpu, devices, guest, layout, memory::Memory,
    privileged::PortSpace, report, serial, state,
};
use abi::boot::{Device, MAX_DEVICES};
use spin::Mutex;

/// What the loader handed over: too large for the boot stack.
static HANDOFF: Mutex<Handoff> = Mutex::new(Handoff::new());

/// Boots: called by `entry` on the boot stack, with `loader` one of the loaders' numbers, `information` the physical
/// address of what the loader says, `load_address` where the first byte of the image lies.
pub extern "C" fn nucleus_main(loader: u32, information: u32, load_address: u32) -> ! {
    serial::CONSOLE.initialise();
    let mut handoff = HANDOFF.lock();
    loader::take(loader, u64::from(information), &mut handoff);
    if has_control_channel(&handoff.command_line) {
        serial::CONTROL.initialise();
    }
    if handoff.free.iter().len() == 0 {
        report::refuse("the loader gave no memory map: boot the image by PVH or multiboot2");
    }
    let image = Image::read(u64::from(load_address));
    cpu::enable_protection();
    let mut memory = Memory::new(&handoff, &image, cpu::address_bits());
    layout::stack_pages().for_each(|page| _ = memory.map_fresh(page));
    cpu::load_tables();
    apic::silence_legacy_controllers();
    start(memory, &handoff, &image)
}

fn start(mut memory: Memory, handoff: &Handoff, image: &Image) -> ! {
    let apic_id = apic::enable(&mut memory);
    let clock = Clock::calibrate();
    let mut devices = [Device::default(); MAX_DEVICES];
    let request = devices::Request {
        rsdp: handoff.rsdp,
        command_line: &handoff.command_line,
        ram: handoff.ram.iter().as_slice(),
        address_bits: cpu::address_bits(),
        destination: apic_id,
    };
    let found = devices::discover(&mut memory, &mut PortSpace, &request, &mut devices);
    serial::enable_receive_interrupts(&mut memory, &found);
    report::ready();
    guest::prepare(&mut memory, &clock, image, handoff, &devices[..found.count]);
    state::install(state::Nucleus { memory, clock, upcall: None, tick: None });
    guest::enter(image.table.guest_entry)
}

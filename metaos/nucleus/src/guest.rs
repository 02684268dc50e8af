//! Prepares the guest's world and enters it.

use crate::boot::{Handoff, Image};
use crate::cpu::{Features, Stack};
use crate::devices::rtc;
use crate::memory::entry::{Entry, Kind, NO_EXECUTE, WRITABLE};
use crate::memory::{Memory, UserRange};
use crate::state::Nucleus;
use crate::trap::{self, FloatingPoint, TrapFrame};
use crate::{layout, privileged, report, state, user};
use abi::boot::Device;
use abi::layout::{
    BOOT_INFO, BOOT_INFO_SIZE, CPU_BLOCK_SIZE, CPU_BLOCKS, INFO_PAGE, MAIN_STACK, MAIN_STACK_SIZE,
};
use abi::upcall::Registers;
use abi::{Access, BootInfo, Error, PAGE_SIZE, VERSION};
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;

const NS_PER_S: u64 = 1_000_000_000;
/// Flags at the start: interrupts on, and the bit that reads as one.
const START_FLAGS: u64 = 0x202;
/// x87 control word and MXCSR at the start, as the System V ABI has them: everything masked.
const X87_CONTROL: u64 = 0x37f;
const MXCSR: u64 = 0x1f80;

/// Where ring 3 starts.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    entry: u64,
}

/// Maps what the guest finds at its start besides its image, and fills it in.
///
/// Ends the machine if memory is too small for it.
pub fn prepare(nucleus: &mut Nucleus, image: &Image, handoff: &Handoff, devices: &[Device]) -> Start {
    let memory = &mut nucleus.memory;
    let page = PAGE_SIZE as u64;
    share(memory, layout::INFO_PAGE, INFO_PAGE.0, page, Access::READ);
    share(memory, layout::BOOT_INFO, BOOT_INFO.0, BOOT_INFO_SIZE as u64, Access::READ);
    share(memory, layout::CPU_BLOCK, CPU_BLOCKS.0, CPU_BLOCK_SIZE as u64, Access::READ_WRITE);
    let stack = UserRange::new(MAIN_STACK.0, MAIN_STACK_SIZE as u64);
    if let Err(error) = stack.and_then(|range| memory.map_fixed(range, Access::READ_WRITE)) {
        refuse(error);
    }
    fill_info_page(nucleus);
    fill_boot_info(handoff, devices, nucleus.memory.frames.free());
    state::cpu_block().self_address.store(CPU_BLOCKS.0, Relaxed);
    let call_block = trap::prepare_calls(layout::stack_top(Stack::Call as u64), image.guest_gate() + 2);
    privileged::set_gs_bases(call_block, CPU_BLOCKS.0);
    apply(nucleus.features);
    Start { entry: image.guest_entry() }
}

/// Enters ring 3 for the first time.
pub fn enter(start: &Start) -> ! {
    let mut frame = TrapFrame::default();
    frame.resume_with(&Registers {
        rdi: BOOT_INFO.0,
        rip: start.entry,
        rsp: MAIN_STACK.0 + MAIN_STACK_SIZE as u64 - 8,
        rflags: START_FLAGS,
        ..Registers::default()
    });
    let mut floating_point = FloatingPoint([0; 64]);
    floating_point.0[0] = X87_CONTROL;
    floating_point.0[3] = MXCSR;
    // SAFETY: `resume_with` sets ring 3's selectors; the linker and the nucleus's own start have checked the entry to lie
    // in the guest's image; flags and MXCSR are constants that are legal. Both lie on the boot stack, left for good.
    unsafe { trap::resume(&frame, &floating_point) }
}

fn apply(features: Features) {
    if features.smap {
        user::use_smap();
    }
}

/// Maps fresh memory twice: for the nucleus to write, for ring 3 with `access`.
fn share(memory: &mut Memory, view: u64, start: u64, length: u64, access: Access) {
    for offset in (0..length).step_by(PAGE_SIZE) {
        let frame = memory.take_frame();
        memory.map_supervisor(view + offset, frame, PAGE_SIZE as u64, WRITABLE | NO_EXECUTE);
        let range = UserRange::new(start + offset, PAGE_SIZE as u64);
        let entry = Entry::user(frame, access, Kind::Fixed);
        if let Err(error) = range.and_then(|range| memory.map_frames(range, entry)) {
            refuse(error);
        }
    }
}

fn fill_info_page(nucleus: &Nucleus) {
    let info = state::info_page();
    let clock = &nucleus.clock;
    info.version.store(u64::from(VERSION), Relaxed);
    info.tsc_at_boot.store(clock.tsc_at_boot, Relaxed);
    info.tsc_multiplier.store(clock.multiplier, Relaxed);
    if let Some(seconds) = rtc::read(&mut crate::boot::PortSpace) {
        let wall_ns = seconds.saturating_mul(NS_PER_S).saturating_sub(clock.now_ns());
        info.wall_at_boot_ns.store(wall_ns, Relaxed);
    }
}

fn fill_boot_info(handoff: &Handoff, devices: &[Device], free_frames: usize) {
    let line = handoff.command_line();
    let mut info = BootInfo {
        version: VERSION,
        cpus: 1,
        memory_bytes: free_frames as u64 * PAGE_SIZE as u64,
        command_line_length: line.len() as u32,
        device_count: devices.len() as u32,
        devices: [Device::default(); abi::boot::MAX_DEVICES],
    };
    info.devices[..devices.len()].copy_from_slice(devices);
    let to: *mut BootInfo = ptr::with_exposed_provenance_mut(layout::BOOT_INFO as usize);
    // SAFETY: `prepare` has just mapped the pages writable; nobody has a reference to them yet; the command line is cut
    // to what fits behind the structure when it is taken over.
    unsafe {
        to.write(info);
        ptr::copy_nonoverlapping(line.as_ptr(), to.add(1).cast::<u8>(), line.len());
    }
}

fn refuse(error: Error) -> ! {
    match error {
        Error::OutOfMemory | Error::OutOfTables => {
            report::refuse("too little memory for the guest's start: start the machine with more (-m)")
        }
        _ => report::refuse("the image overlaps the guest's fixed pages: link it again"),
    }
}

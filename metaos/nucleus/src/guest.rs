//! Prepares the guest's world and enters it.

use crate::boot::Image;
use crate::memory::entry::{Entry, FIXED};
use crate::memory::{Memory, UserRange};
use crate::trap::{self, FloatingPoint, TrapFrame};
use crate::{clock::Clock, cpu::Stack, layout, privileged, real_time_clock, report, state, upcall};
use abi::boot::{Device, MAX_DEVICES};
use abi::layout::{
    BOOT_INFO, BOOT_INFO_SIZE, CPU_BLOCK_SIZE, CPU_BLOCKS, INFO_PAGE, MAIN_STACK, MAIN_STACK_SIZE,
};
use abi::{Access, BootInfo, PAGE_SIZE, VERSION, upcall::Registers};
use core::{ptr, sync::atomic::Ordering::Relaxed};

/// Bytes of the SYSCALL instruction, behind which a call returns.
const SYSCALL_LENGTH: u64 = 2;
/// x87 control word and MXCSR at the start, as the System V ABI has them: everything masked.
const X87_CONTROL: u64 = 0x37f;
const MXCSR: u64 = 0x1f80;

/// Maps what the guest finds at its start besides its image, and fills it in; `line` is the command line.
///
/// Ends the machine if memory is too small for it.
pub(crate) fn prepare(memory: &mut Memory, clock: &Clock, image: &Image, line: &[u8], devices: &[Device]) {
    share(memory, layout::INFO_PAGE, INFO_PAGE.0, PAGE_SIZE, Access::READ);
    share(memory, layout::BOOT_INFO, BOOT_INFO.0, BOOT_INFO_SIZE, Access::READ);
    share(memory, layout::CPU_BLOCK, CPU_BLOCKS.0, CPU_BLOCK_SIZE, Access::READ_WRITE);
    let stack = UserRange::new(MAIN_STACK.0, MAIN_STACK_SIZE as u64);
    report::expect(stack.and_then(|range| memory.map(range, Access::READ_WRITE, FIXED)));
    fill_info_page(clock);
    fill_boot_info(line, devices, memory.frames.free);
    state::cpu_block().self_address.store(CPU_BLOCKS.0, Relaxed);
    let gate_return = image.table.guest_gate + SYSCALL_LENGTH;
    let call_block = trap::prepare_calls(layout::stack_top(Stack::Call as u64), gate_return);
    privileged::set_gs_bases(call_block, CPU_BLOCKS.0);
}

/// Enters ring 3 for the first time, at `rip`.
pub(crate) fn enter(rip: u64) -> ! {
    let rsp = MAIN_STACK.0 + MAIN_STACK_SIZE as u64 - 8;
    let registers =
        Registers { rdi: BOOT_INFO.0, rip, rsp, rflags: upcall::FIXED_FLAGS, ..Registers::default() };
    let mut floating_point = FloatingPoint([0; 64]);
    floating_point.0[0] = X87_CONTROL;
    floating_point.0[upcall::MXCSR_WORD] = MXCSR;
    // SAFETY: the frame has ring 3's selectors; the linker and the nucleus's own start have checked the entry to lie in
    // the guest's image; flags and MXCSR are constants that are legal. Both lie on the boot stack, left for good.
    unsafe { trap::resume(&mut TrapFrame::of_ring_3(registers), &floating_point) }
}

/// Maps fresh memory twice: for the nucleus to write, for ring 3 with `access`.
fn share(memory: &mut Memory, view: u64, start: u64, length: usize, access: Access) {
    for offset in (0..length as u64).step_by(PAGE_SIZE) {
        let entry = Entry::user(memory.map_fresh(view + offset), access, FIXED);
        let range = UserRange::new(start + offset, PAGE_SIZE as u64);
        report::expect(range.and_then(|range| memory.map_frames(range, entry)));
    }
}

fn fill_info_page(clock: &Clock) {
    let info = state::info_page();
    info.version.store(u64::from(VERSION), Relaxed);
    info.tsc_base.store(clock.tsc_at_boot, Relaxed);
    info.tsc_multiplier.store(clock.multiplier, Relaxed);
    info.real_time_clock.store(real_time_clock::read(), Relaxed);
}

fn fill_boot_info(line: &[u8], devices: &[Device], free_frames: usize) {
    let mut info = BootInfo {
        version: VERSION,
        cpus: 1,
        memory_bytes: (free_frames * PAGE_SIZE) as u64,
        command_line_length: line.len() as u32,
        device_count: devices.len() as u32,
        devices: [Device::default(); MAX_DEVICES],
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

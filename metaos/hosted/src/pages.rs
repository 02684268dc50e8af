//! The pages at fixed addresses that a machine shows its guest: information, boot information, the block of the CPU.

use crate::linux::{self, Errno, map};
use abi::boot::{BootInfo, Device, MAX_DEVICES, transport};
use abi::info::FIRST_DEVICE_EVENT;
use abi::layout::{
    BOOT_INFO, BOOT_INFO_SIZE, CPU_BLOCK_SIZE, CPU_BLOCKS, INFO_PAGE, MAIN_STACK, MAIN_STACK_SIZE,
};
use abi::upcall::CpuBlock;
use abi::{InfoPage, PAGE_SIZE, VirtAddr};
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

/// Bytes of command line for which there is room.
pub(crate) const COMMAND_LINE_ROOM: usize = BOOT_INFO_SIZE - size_of::<BootInfo>();

const KIND_NETWORK: u32 = 1;
const PAGE: u64 = PAGE_SIZE as u64;

/// Where this machine writes the information page, which the guest sees elsewhere and cannot write.
static INFO: AtomicU64 = AtomicU64::new(0);

/// Maps the information page twice: for the guest to read, and for this machine to write.
pub(crate) fn map_info() -> Result<(), Errno> {
    let file = linux::make_file(PAGE)?;
    linux::map_file(INFO_PAGE.0, PAGE, map::READ, file)?;
    INFO.store(linux::map_file(0, PAGE, map::READ | map::WRITE, file)?, Ordering::Relaxed);
    linux::close(file);
    info().version.store(u64::from(abi::VERSION), Ordering::Relaxed);
    info().real_time_clock.store(u64::MAX, Ordering::Relaxed);
    Ok(())
}

/// Maps the boot information, lets `write` put the command line behind it and say how long it is, and takes the right to
/// write away.
pub(crate) fn map_boot<E: From<Errno>>(
    memory: u64,
    has_network: bool,
    write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<(), E> {
    linux::map_fresh(BOOT_INFO.0, BOOT_INFO_SIZE as u64, map::READ | map::WRITE)?;
    let room = at::<u8>(VirtAddr(BOOT_INFO.0 + size_of::<BootInfo>() as u64));
    // SAFETY: the pages have just been mapped, and nobody else knows of them.
    let length = write(unsafe { core::slice::from_raw_parts_mut(room, COMMAND_LINE_ROOM) })?;
    let boot = BootInfo {
        version: abi::VERSION,
        cpus: 1,
        memory_bytes: memory,
        command_line_length: length as u32,
        device_count: u32::from(has_network),
        devices: [network_device(); MAX_DEVICES],
    };
    // SAFETY: as above; the address is that of a page.
    unsafe { at::<BootInfo>(BOOT_INFO).write(boot) };
    linux::protect(BOOT_INFO.0, BOOT_INFO_SIZE as u64, map::READ)?;
    Ok(())
}

/// Maps the block of the one CPU and lets GS point to it.
pub(crate) fn map_block() -> Result<(), Errno> {
    linux::map_fresh(CPU_BLOCKS.0, CPU_BLOCK_SIZE as u64, map::READ | map::WRITE)?;
    block().self_address.store(CPU_BLOCKS.0, Ordering::Relaxed);
    linux::set_gs_base(CPU_BLOCKS.0)
}

/// Maps the stack of the guest's main thread.
pub(crate) fn map_main_stack() -> Result<(), Errno> {
    linux::map_fresh(MAIN_STACK.0, MAIN_STACK_SIZE as u64, map::READ | map::WRITE)
}

/// Returns the information page, to write it.
pub(crate) fn info() -> &'static InfoPage {
    // SAFETY: `map_info` has run first thing, and its pages stay; the page is made of atomic integers.
    unsafe { &*pointer(INFO.load(Ordering::Relaxed)).cast() }
}

/// Returns the information page where the guest sees it.
pub(crate) fn guest_info() -> &'static InfoPage {
    // SAFETY: as above.
    unsafe { &*at(INFO_PAGE) }
}

/// Returns the boot information.
pub(crate) fn boot() -> &'static BootInfo {
    // SAFETY: `map_boot` has written it before the guest runs; nobody can write it any more.
    unsafe { &*at(BOOT_INFO) }
}

/// Returns the command line.
pub(crate) fn command_line() -> &'static [u8] {
    let length = (boot().command_line_length as usize).min(COMMAND_LINE_ROOM);
    // SAFETY: it lies in the same pages.
    unsafe { core::slice::from_raw_parts(at(VirtAddr(BOOT_INFO.0 + size_of::<BootInfo>() as u64)), length) }
}

/// Returns the block of the one CPU.
pub(crate) fn block() -> &'static CpuBlock {
    // SAFETY: `map_block` has mapped it, zeroed, before anything asks for it; it is made of atomic integers.
    unsafe { &*at(CPU_BLOCKS) }
}

/// Counts an event.
pub(crate) fn count_event(event: usize) {
    let info = info();
    info.events[event].fetch_add(1, Ordering::Release);
    info.events_total.fetch_add(1, Ordering::Release);
}

fn network_device() -> Device {
    Device {
        transport: transport::REQUESTS,
        kind: KIND_NETWORK,
        first_event: FIRST_DEVICE_EVENT as u32,
        event_count: 1,
        ..Device::default()
    }
}

fn at<T>(address: VirtAddr) -> *mut T {
    pointer(address.0).cast()
}

fn pointer(address: u64) -> *mut u8 {
    ptr::with_exposed_provenance_mut(address as usize)
}

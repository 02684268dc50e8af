//! Every privileged instruction of the nucleus, each behind a named function.
//!
//! No other file may hold one (the assembly of the boot path and of the trap entries apart, which are instructions
//! in sequence and cannot be functions). A machine whose ring 0 is emulated can replace this file.

use core::arch::asm;
use x86_64::instructions::port::{Port, PortRead, PortWrite};
use x86_64::instructions::{hlt, interrupts, tables, tlb};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr2, Cr3, Cr3Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::{FsBase, GsBase, KernelGsBase, LStar, Msr, SFMask, Star};
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};
use x86_64::structures::gdt::{GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::{DescriptorTablePointer, paging::PhysFrame};
use x86_64::{PhysAddr, VirtAddr, registers::rflags::RFlags};

/// Reads from an I/O port.
pub(crate) fn port_read<T: PortRead>(port: u16) -> T {
    // SAFETY: reading a port has no effect on memory; the callers name ports of devices they own.
    unsafe { Port::new(port).read() }
}

/// Writes to an I/O port.
pub(crate) fn port_write<T: PortWrite>(port: u16, value: T) {
    // SAFETY: the callers name ports of devices they own, none of which does DMA on its own account.
    unsafe { Port::new(port).write(value) }
}

/// Reads a model-specific register.
///
/// # Safety
///
/// The register exists on this CPU.
pub(crate) unsafe fn read_msr(register: u32) -> u64 {
    // SAFETY: the caller says that the register exists.
    unsafe { Msr::new(register).read() }
}

/// Writes a model-specific register.
///
/// # Safety
///
/// The register exists, and the value keeps memory and control flow as they are.
pub(crate) unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller vouches for register and value.
    unsafe { Msr::new(register).write(value) }
}

/// Allows one interrupt to be taken: enables interrupts, halts, and disables them again.
///
/// STI holds interrupts back until the next instruction has begun (SDM 2B, STI), so none is lost before the halt.
pub(crate) fn wait_for_interrupt() {
    interrupts::enable_and_hlt();
    interrupts::disable();
}

/// Stops this CPU for ever.
pub(crate) fn halt() -> ! {
    interrupts::disable();
    loop {
        hlt();
    }
}

/// Reads the address of the last page fault.
pub(crate) fn fault_address() -> u64 {
    Cr2::read_raw()
}

/// Switches to other page tables.
///
/// # Safety
///
/// `root` is a valid PML4 that maps the running code, its stack and all data in use as before.
pub(crate) unsafe fn load_page_tables(root: u64) {
    // SAFETY: the caller vouches for the tables.
    unsafe { Cr3::write(PhysFrame::containing_address(PhysAddr::new(root)), Cr3Flags::empty()) }
}

/// Forgets the cached translation of one page, and all cached entries of the tables above pages.
pub(crate) fn flush_page(address: u64) {
    tlb::flush(VirtAddr::new_truncate(address));
}

/// Sets bits in CR0 and CR4, leaves the others as they are, and enables extended states for XSAVE if there are any.
///
/// # Safety
///
/// The CPU has the features, the code and data in use stay reachable under them, and the states are none or, with
/// OSXSAVE in `cr4`, a combination that CPUID leaf 0xD allows.
pub(crate) unsafe fn enable_features(cr0: Cr0Flags, cr4: Cr4Flags, states: Option<u64>) {
    // SAFETY: the caller vouches for features and states.
    unsafe {
        Cr0::update(|flags| flags.insert(cr0));
        Cr4::update(|flags| flags.insert(cr4));
        if let Some(states) = states {
            XCr0::write(XCr0Flags::from_bits_retain(states));
        }
    }
}

/// Loads the descriptor tables and the task register.
///
/// # Safety
///
/// The tables are sound. The selectors in use mean the same in the new table; `task` names an available TSS in it.
pub(crate) unsafe fn load_descriptor_tables(
    gdt: &'static GlobalDescriptorTable,
    idt: &'static [[u64; 2]; 256],
    task: SegmentSelector,
) {
    gdt.load();
    let base = VirtAddr::from_ptr(idt);
    // SAFETY: the caller vouches for gates and selectors.
    unsafe {
        tables::lidt(&DescriptorTablePointer { limit: size_of_val(idt) as u16 - 1, base });
        tables::load_tss(task);
    }
}

/// Makes SYSCALL enter at `entry` with all flags cleared: no trap, no interrupt, strings upwards, SMAP in force.
///
/// # Safety
///
/// `entry` switches stacks before it uses one; the bases are those of the descriptor table in use (SDM 3A 5.8.8).
pub(crate) unsafe fn enable_syscall(entry: u64, syscall_base: u16, sysret_base: u16) {
    LStar::write(VirtAddr::new_truncate(entry));
    SFMask::write(RFlags::all());
    // SAFETY: the caller vouches for entry and selectors.
    unsafe {
        Star::write_raw(sysret_base, syscall_base);
        Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE));
    }
}

/// Sets the GS base of the nucleus (hidden, for SWAPGS) and of ring 3 (active). Our own code reaches nothing through GS
/// but in the SYSCALL entry, after SWAPGS.
pub(crate) fn set_gs_bases(nucleus: u64, user: u64) {
    KernelGsBase::write(VirtAddr::new_truncate(nucleus));
    GsBase::write(VirtAddr::new_truncate(user));
}

/// Sets the FS base of ring 3.
pub(crate) fn set_thread_pointer(address: u64) {
    FsBase::write(VirtAddr::new_truncate(address));
}

/// Lets the nucleus touch user pages in `act`: sets the flag AC meanwhile, which overrides SMAP and has no other effect
/// in ring 0. Not by STAC and CLAC, which only CPUs with SMAP have.
pub(crate) fn with_user_access(act: impl FnOnce()) {
    // SAFETY: changes the AC flag only, of which compiled code makes no use. What `act` does to memory stays between
    // the two, since neither promises to leave memory alone.
    unsafe { asm!("pushfq; or dword ptr [rsp], 0x40000; popfq") }
    act();
    // SAFETY: as above.
    unsafe { asm!("pushfq; and dword ptr [rsp], 0xfffbffff; popfq") }
}

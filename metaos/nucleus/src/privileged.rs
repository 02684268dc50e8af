//! Every privileged instruction of the nucleus, each behind a named function.
//!
//! No other file may hold one (the assembly of the boot path and of the trap entries apart, which are instructions
//! in sequence and cannot be functions). A machine whose ring 0 is emulated can replace this file.

use core::arch::asm;
use x86_64::instructions::{interrupts, port::Port, tables};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr2, Cr3, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::registers::model_specific::{KernelGsBase, LStar, Msr, SFMask};
use x86_64::registers::rflags::RFlags;
use x86_64::registers::segmentation::{CS, DS, ES, FS, GS, SS, Segment, Segment64};
use x86_64::registers::xcontrol::{XCr0, XCr0Flags};
use x86_64::structures::gdt::{GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::{PhysAddr, VirtAddr};

/// Model-specific register of SYSCALL's selectors (SDM 4, `IA32_STAR`).
const STAR: u32 = 0xc000_0081;

/// Reads a byte from an I/O port.
#[must_use]
pub fn port_read_u8(port: u16) -> u8 {
    // SAFETY: reading a port has no effect on memory; the callers name ports of devices they own.
    unsafe { Port::new(port).read() }
}

/// Writes a byte to an I/O port.
pub fn port_write_u8(port: u16, value: u8) {
    // SAFETY: the callers name ports of devices they own, none of which does DMA on its own account.
    unsafe { Port::new(port).write(value) }
}

/// Reads a double word from an I/O port.
#[must_use]
pub fn port_read_u32(port: u16) -> u32 {
    // SAFETY: as for `port_read_u8`.
    unsafe { Port::new(port).read() }
}

/// Writes a double word to an I/O port.
pub fn port_write_u32(port: u16, value: u32) {
    // SAFETY: as for `port_write_u8`.
    unsafe { Port::new(port).write(value) }
}

/// Reads a model-specific register.
///
/// # Safety
///
/// The register exists on this CPU.
#[must_use]
pub unsafe fn read_msr(register: u32) -> u64 {
    // SAFETY: the caller says that the register exists.
    unsafe { Msr::new(register).read() }
}

/// Writes a model-specific register.
///
/// # Safety
///
/// The register exists, and the value keeps memory and control flow as they are.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller vouches for register and value.
    unsafe { Msr::new(register).write(value) }
}

/// Allows one interrupt to be taken: enables interrupts, halts, and disables them again.
///
/// STI holds interrupts back until the next instruction has begun (SDM 2B, STI), so none is lost before the halt.
pub fn wait_for_interrupt() {
    interrupts::enable_and_hlt();
    interrupts::disable();
}

/// Stops this CPU for ever.
pub fn halt() -> ! {
    interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}

/// Reads the address of the last page fault.
#[must_use]
pub fn fault_address() -> u64 {
    Cr2::read_raw()
}

/// Returns the physical address of the page tables in use.
#[must_use]
pub fn page_table_root() -> u64 {
    Cr3::read().0.start_address().as_u64()
}

/// Switches to other page tables.
///
/// # Safety
///
/// `root` is a valid PML4 that maps the running code, its stack and all data in use as before.
pub unsafe fn load_page_tables(root: u64) {
    let frame = x86_64::structures::paging::PhysFrame::containing_address(PhysAddr::new(root));
    // SAFETY: the caller vouches for the tables.
    unsafe { Cr3::write(frame, x86_64::registers::control::Cr3Flags::empty()) }
}

/// Forgets the cached translation of one page.
pub fn flush_page(address: u64) {
    // The address need not be canonical for our purpose: INVLPG ignores addresses that are not.
    x86_64::instructions::tlb::flush(VirtAddr::new_truncate(address));
}

/// Sets bits in CR0 and CR4 and leaves the others as they are.
///
/// # Safety
///
/// The CPU has the features, and the code and data in use stay reachable under them.
pub unsafe fn enable_control_bits(cr0: Cr0Flags, cr4: Cr4Flags) {
    // SAFETY: the caller vouches for the features.
    unsafe {
        Cr0::update(|flags| flags.insert(cr0));
        Cr4::update(|flags| flags.insert(cr4));
    }
}

/// Enables the extended states in `mask` for XSAVE.
///
/// # Safety
///
/// CR4.OSXSAVE is set and `mask` is a combination that CPUID leaf 0xD allows.
pub unsafe fn enable_extended_states(mask: u64) {
    // SAFETY: the caller vouches for the combination.
    unsafe { XCr0::write(XCr0Flags::from_bits_retain(mask)) }
}

/// Loads the descriptor tables, the task register and flat selectors.
///
/// # Safety
///
/// The tables live for ever; the selectors name a 64-bit ring-0 code segment, a data segment and an available TSS.
pub unsafe fn load_descriptor_tables(
    gdt: &'static GlobalDescriptorTable,
    idt: &'static InterruptDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    tss: SegmentSelector,
) {
    gdt.load();
    idt.load();
    // SAFETY: the caller vouches for the selectors; base addresses of FS and GS are set where they are used.
    unsafe {
        CS::set_reg(code);
        SS::set_reg(data);
        DS::set_reg(SegmentSelector::NULL);
        ES::set_reg(SegmentSelector::NULL);
        FS::set_reg(SegmentSelector::NULL);
        GS::set_reg(SegmentSelector::NULL);
        tables::load_tss(tss);
    }
}

/// Makes SYSCALL enter at `entry` with the flags in `mask` cleared.
///
/// # Safety
///
/// `entry` switches stacks before it uses one; the bases are those of the descriptor table in use (SDM 3A 5.8.8).
pub unsafe fn enable_syscall(entry: u64, syscall_base: u16, sysret_base: u16, mask: RFlags) {
    let star = u64::from(sysret_base) << 48 | u64::from(syscall_base) << 32;
    LStar::write(VirtAddr::new_truncate(entry));
    SFMask::write(mask);
    // SAFETY: the caller vouches for entry and selectors; STAR and EFER exist in every 64-bit CPU.
    unsafe {
        Msr::new(STAR).write(star);
        Efer::update(|flags| flags.insert(EferFlags::SYSTEM_CALL_EXTENSIONS | EferFlags::NO_EXECUTE_ENABLE));
    }
}

/// Sets the GS base of the nucleus (hidden, for SWAPGS) and of ring 3 (active).
pub fn set_gs_bases(nucleus: u64, user: u64) {
    KernelGsBase::write(VirtAddr::new_truncate(nucleus));
    // Our own code reaches nothing through GS but in the SYSCALL entry, after SWAPGS.
    x86_64::registers::model_specific::GsBase::write(VirtAddr::new_truncate(user));
}

/// Sets the FS base of ring 3.
pub fn set_thread_pointer(address: u64) {
    x86_64::registers::model_specific::FsBase::write(VirtAddr::new_truncate(address));
}

/// Reads the GS base that is active now.
#[must_use]
pub fn user_gs_base() -> u64 {
    GS::read_base().as_u64()
}

/// Lets the nucleus touch user pages until [`end_user_access`] (SMAP).
pub fn begin_user_access() {
    // SAFETY: STAC changes the AC flag only; the callers have checked that the CPU has SMAP.
    unsafe { asm!("stac", options(nomem, nostack)) }
}

/// Ends what [`begin_user_access`] began.
pub fn end_user_access() {
    // SAFETY: CLAC changes the AC flag only; the callers have checked that the CPU has SMAP.
    unsafe { asm!("clac", options(nomem, nostack)) }
}

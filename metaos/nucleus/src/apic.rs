//! The local APIC: end of interrupt and the timer (SDM 3A 11).
//!
//! In the mode that firmware left: x2APIC may be locked on, and is not turned on here, since one CPU gains nothing by it
//! and QEMU does not count instructions (`-icount`) across its registers.

use crate::memory::entry::{NO_EXECUTE, UNCACHED, WRITABLE};
use crate::{clock::read_tsc, layout::LOCAL_APIC, memory::Memory, privileged, trap};
use abi::PAGE_SIZE;
use core::arch::x86_64::{__cpuid, _mm_mfence};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Feature of CPUID leaf 1, `ecx`.
const HAS_TSC_DEADLINE: u32 = 1 << 24;
const APIC_BASE: u32 = 0x1b;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const X2APIC_REGISTERS: u32 = 0x800;
const TSC_DEADLINE: u32 = 0x6e0;

/// Registers, as offsets in the register page.
mod register {
    pub(super) const ID: u32 = 0x20;
    pub(super) const END_OF_INTERRUPT: u32 = 0xb0;
    pub(super) const SPURIOUS: u32 = 0xf0;
    pub(super) const TIMER: u32 = 0x320;
    pub(super) const LINT0: u32 = 0x350;
    pub(super) const INITIAL_COUNT: u32 = 0x380;
    pub(super) const CURRENT_COUNT: u32 = 0x390;
    pub(super) const DIVIDE: u32 = 0x3e0;
}

const SOFTWARE_ENABLE: u32 = 1 << 8;
const DIVIDE_BY_1: u32 = 0b1011;
const MASKED: u32 = 1 << 16;
const TIMER_PERIODIC: u32 = 1 << 17;
const TIMER_TSC_DEADLINE: u32 = 2 << 17;

static IS_X2APIC: AtomicBool = AtomicBool::new(false);
static HAS_DEADLINE: AtomicBool = AtomicBool::new(false);

/// Enables the APIC, its timer stopped, and returns the identifier to which devices address their interrupts.
pub(crate) fn enable(memory: &mut Memory) -> u8 {
    // SAFETY: every 64-bit CPU has the register.
    let base = unsafe { privileged::read_msr(APIC_BASE) };
    let is_x2apic = base & BASE_X2APIC != 0;
    IS_X2APIC.store(is_x2apic, Relaxed);
    // SAFETY: enabling the APIC in the mode it is in changes neither memory nor control flow (SDM 3A figure 11-27).
    unsafe { privileged::write_msr(APIC_BASE, base | BASE_ENABLE) };
    let flags = WRITABLE | NO_EXECUTE | UNCACHED;
    memory.map_supervisor(LOCAL_APIC, base & BASE_ADDRESS, PAGE_SIZE as u64, flags);
    write(register::SPURIOUS, SOFTWARE_ENABLE | trap::VECTOR_SPURIOUS as u32);
    write(register::DIVIDE, DIVIDE_BY_1);
    // Nobody uses the older controllers (8259), which come in by LINT0. They are masked first, so that none of their
    // interrupts is pending there any more: QEMU would deliver it all the same, with a vector that does not exist.
    privileged::port_write(0x21, 0xff_u8);
    privileged::port_write(0xa1, 0xff_u8);
    write(register::LINT0, MASKED);
    // The 8-bit identifier; with more than 255 CPUs, the one that boots still has a small one.
    (read(register::ID) >> if is_x2apic { 0 } else { 24 }) as u8
}

/// Lets the timer raise an interrupt every `ticks` of its own.
pub(crate) fn start_periodic(ticks: u32) {
    write(register::TIMER, TIMER_PERIODIC | trap::VECTOR_TIMER as u32);
    write(register::INITIAL_COUNT, ticks);
}

/// Stops the timer; from then on [`arm`] starts it. Returns whether it counts the ticks of the time-stamp counter, as it
/// does where it can, or its own.
pub(crate) fn start_one_shot() -> bool {
    write(register::INITIAL_COUNT, 0);
    let has_deadline = __cpuid(1).ecx & HAS_TSC_DEADLINE != 0;
    let mode = if has_deadline { TIMER_TSC_DEADLINE } else { 0 };
    write(register::TIMER, mode | trap::VECTOR_TIMER as u32);
    // The register page is memory: its mode must be there before the first deadline is (SDM 3A 11.5.4.1).
    // SAFETY: every 64-bit CPU has the instruction.
    unsafe { _mm_mfence() }
    HAS_DEADLINE.store(has_deadline, Relaxed);
    has_deadline
}

/// Lets the timer raise one interrupt after `ticks`, sooner if it cannot count so far.
pub(crate) fn arm(ticks: u64) {
    if HAS_DEADLINE.load(Relaxed) {
        // SAFETY: the CPU has the register; an interrupt of the timer is what the trap entries are for.
        return unsafe { privileged::write_msr(TSC_DEADLINE, read_tsc().saturating_add(ticks)) };
    }
    write(register::INITIAL_COUNT, u32::try_from(ticks).unwrap_or(u32::MAX));
}

/// Returns the ticks that are left until the timer's interrupt.
pub(crate) fn ticks_left() -> u64 {
    u64::from(read(register::CURRENT_COUNT))
}

/// Tells the APIC that an interrupt was handled.
pub(crate) fn end_of_interrupt() {
    write(register::END_OF_INTERRUPT, 0);
}

fn read(offset: u32) -> u32 {
    if IS_X2APIC.load(Relaxed) {
        // SAFETY: in x2APIC mode every register in use here has its MSR (SDM 3A table 11-6).
        return unsafe { privileged::read_msr(X2APIC_REGISTERS + offset / 16) } as u32;
    }
    // SAFETY: `new` has mapped the register page; offsets are those of the manual, aligned to 16.
    unsafe { ptr::read_volatile(mapped(offset)) }
}

fn write(offset: u32, value: u32) {
    if IS_X2APIC.load(Relaxed) {
        // SAFETY: as for `read`; the registers in use change neither memory nor control flow.
        return unsafe { privileged::write_msr(X2APIC_REGISTERS + offset / 16, u64::from(value)) };
    }
    // SAFETY: as for `read`.
    unsafe { ptr::write_volatile(mapped(offset), value) }
}

fn mapped(offset: u32) -> *mut u32 {
    ptr::with_exposed_provenance_mut(LOCAL_APIC as usize + offset as usize)
}

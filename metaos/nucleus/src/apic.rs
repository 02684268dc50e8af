//! The local APIC: end of interrupt and the one-shot timer (SDM 3A 11).
//!
//! In x2APIC mode where the CPU has it (firmware may have locked it on), through the register page otherwise.

use crate::cpu::Features;
use crate::layout::LOCAL_APIC;
use crate::memory::Memory;
use crate::memory::entry::{NO_EXECUTE, UNCACHED, WRITABLE};
use crate::privileged::{read_msr, write_msr};
use crate::trap::{VECTOR_SPURIOUS, VECTOR_TIMER};
use abi::PAGE_SIZE;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

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
    pub(super) const INITIAL_COUNT: u32 = 0x380;
    pub(super) const CURRENT_COUNT: u32 = 0x390;
    pub(super) const DIVIDE: u32 = 0x3e0;
}

const SOFTWARE_ENABLE: u32 = 1 << 8;
const TIMER_PERIODIC: u32 = 1 << 17;
const TIMER_DEADLINE: u32 = 2 << 17;
const DIVIDE_BY_1: u32 = 0b1011;

static IS_X2APIC: AtomicBool = AtomicBool::new(false);
/// Timer interrupts taken so far.
static TIMER_INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// The local APIC of this CPU.
#[derive(Debug)]
pub struct LocalApic {
    id: u8,
    has_deadline: bool,
}

impl LocalApic {
    /// Enables the APIC, its timer masked.
    #[must_use]
    pub fn new(memory: &mut Memory, features: Features) -> Self {
        // SAFETY: every 64-bit CPU has the register.
        let base = unsafe { read_msr(APIC_BASE) };
        let mode = if features.x2apic { BASE_ENABLE | BASE_X2APIC } else { BASE_ENABLE };
        IS_X2APIC.store(features.x2apic, Relaxed);
        // SAFETY: enabling the APIC in a mode the CPU has changes neither memory nor control flow; from xAPIC to
        // x2APIC is a legal change (SDM 3A figure 11-27).
        unsafe { write_msr(APIC_BASE, base | mode) };
        memory.map_supervisor(
            LOCAL_APIC,
            base & BASE_ADDRESS,
            PAGE_SIZE as u64,
            WRITABLE | NO_EXECUTE | UNCACHED,
        );
        write(register::SPURIOUS, SOFTWARE_ENABLE | u32::from(VECTOR_SPURIOUS));
        write(register::DIVIDE, DIVIDE_BY_1);
        let id = read(register::ID);
        // The 8-bit identifier; with more than 255 CPUs, the one that boots still has a small one.
        let id = if features.x2apic { id as u8 } else { (id >> 24) as u8 };
        let apic = Self { id, has_deadline: features.tsc_deadline };
        apic.start_one_shot();
        apic
    }

    /// Returns the identifier to which devices address their interrupts.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// Tells whether the timer counts in ticks of the time-stamp counter.
    #[must_use]
    pub const fn has_deadline(&self) -> bool {
        self.has_deadline
    }

    /// Arms the timer for a reading of the time-stamp counter (deadline mode only).
    pub fn arm_deadline(&self, tsc: u64) {
        // SAFETY: the CPU has the register, and an interrupt is all it causes. 0 would disarm.
        unsafe { write_msr(TSC_DEADLINE, tsc.max(1)) }
    }

    /// Arms the timer for a number of its own ticks (not in deadline mode).
    pub fn arm_count(&self, ticks: u64) {
        write(register::INITIAL_COUNT, u32::try_from(ticks.max(1)).unwrap_or(u32::MAX));
    }

    /// Stops the timer.
    pub fn disarm(&self) {
        if self.has_deadline {
            // SAFETY: the CPU has the register; 0 disarms (SDM 3A 11.5.4.1).
            unsafe { write_msr(TSC_DEADLINE, 0) }
        } else {
            write(register::INITIAL_COUNT, 0);
        }
    }

    /// Starts an interrupt every `period` ticks of the timer.
    pub fn start_periodic(&self, period: u32) {
        TIMER_INTERRUPTS.store(0, Relaxed);
        write(register::TIMER, TIMER_PERIODIC | u32::from(VECTOR_TIMER));
        write(register::INITIAL_COUNT, period);
    }

    /// Returns the ticks since [`Self::start_periodic`] with the same `period`.
    #[must_use]
    pub fn periodic_ticks(&self, period: u32) -> u64 {
        let interrupts = TIMER_INTERRUPTS.load(Relaxed);
        interrupts * u64::from(period) + u64::from(period - read(register::CURRENT_COUNT).min(period))
    }

    /// Leaves the timer stopped, ready to be armed.
    pub fn start_one_shot(&self) {
        let mode = if self.has_deadline { TIMER_DEADLINE } else { 0 };
        write(register::INITIAL_COUNT, 0);
        write(register::TIMER, mode | u32::from(VECTOR_TIMER));
    }
}

/// Counts a timer interrupt.
pub fn count_timer_interrupt() {
    TIMER_INTERRUPTS.fetch_add(1, Relaxed);
}

/// Tells the APIC that an interrupt was handled.
pub fn end_of_interrupt() {
    write(register::END_OF_INTERRUPT, 0);
}

fn read(offset: u32) -> u32 {
    if IS_X2APIC.load(Relaxed) {
        // SAFETY: in x2APIC mode every register in use here has its MSR (SDM 3A table 11-6).
        return unsafe { read_msr(X2APIC_REGISTERS + offset / 16) } as u32;
    }
    let from: *const u32 = ptr::with_exposed_provenance((LOCAL_APIC + u64::from(offset)) as usize);
    // SAFETY: `new` has mapped the register page; offsets are those of the manual, aligned to 16.
    unsafe { ptr::read_volatile(from) }
}

fn write(offset: u32, value: u32) {
    if IS_X2APIC.load(Relaxed) {
        // SAFETY: as for `read`; the registers in use change neither memory nor control flow.
        return unsafe { write_msr(X2APIC_REGISTERS + offset / 16, u64::from(value)) };
    }
    let to: *mut u32 = ptr::with_exposed_provenance_mut((LOCAL_APIC + u64::from(offset)) as usize);
    // SAFETY: as for `read`.
    unsafe { ptr::write_volatile(to, value) }
}

//! Everything that enters ring 0 after boot: exceptions, interrupts, the SYSCALL instruction.

#[cfg(not(test))]
mod entry;
#[cfg(test)]
#[path = "entry_test.rs"]
mod entry;
mod frame;

pub use entry::{prepare_calls, resume, syscall_entry_address};
pub use frame::{FloatingPoint, TrapFrame};

use crate::cpu::Stack;
use crate::devices::interrupts::FIRST_EVENT_VECTOR;
use crate::{apic, calls, report, serial, state, upcall};
use abi::control::CrashKind;
use abi::info::{EVENT_CONSOLE, EVENT_STOP, EVENTS};
use x86_64::VirtAddr;
use x86_64::structures::idt::InterruptDescriptorTable;

/// Vector by which a frame of the SYSCALL instruction is known; no interrupt has it.
pub const VECTOR_SYSCALL: u64 = 0x100;
/// Vector of the timer.
pub const VECTOR_TIMER: u8 = 0x30;
/// Vector of spurious APIC interrupts.
pub const VECTOR_SPURIOUS: u8 = 0xff;

const VECTOR_DEBUG: u8 = 1;
const VECTOR_NON_MASKABLE: u8 = 2;
const VECTOR_DOUBLE_FAULT: u8 = 8;
const VECTOR_PAGE_FAULT: u64 = 14;
const VECTOR_MACHINE_CHECK: u8 = 18;
const EXCEPTIONS: u64 = 32;
const LAST_EVENT_VECTOR: u64 = FIRST_EVENT_VECTOR as u64 + EVENTS as u64 - 1;
const CONSOLE: u64 = EVENT_CONSOLE as u64;
const STOP: u64 = EVENT_STOP as u64;

/// Makes the interrupt descriptor table: every vector on a stack of its own kind (precompiled code uses the red zone,
/// so nothing may ever be pushed on an interrupted stack).
#[must_use]
pub fn descriptor_table() -> InterruptDescriptorTable {
    let mut table = InterruptDescriptorTable::new();
    /// Fills in one gate.
    macro_rules! gate {
        ($gate:expr, $vector:expr) => {
            // SAFETY: the stub of the vector keeps the convention of a trap entry, and the stack is mapped.
            unsafe {
                $gate
                    .set_handler_addr(VirtAddr::new_truncate(entry::stub_address($vector)))
                    .set_stack_index(stack_of($vector) as u16 - 1)
            };
        };
    }
    gate!(table.divide_error, 0);
    gate!(table.debug, VECTOR_DEBUG);
    gate!(table.non_maskable_interrupt, VECTOR_NON_MASKABLE);
    gate!(table.breakpoint, 3);
    gate!(table.overflow, 4);
    gate!(table.bound_range_exceeded, 5);
    gate!(table.invalid_opcode, 6);
    gate!(table.device_not_available, 7);
    gate!(table.double_fault, VECTOR_DOUBLE_FAULT);
    gate!(table.invalid_tss, 10);
    gate!(table.segment_not_present, 11);
    gate!(table.stack_segment_fault, 12);
    gate!(table.general_protection_fault, 13);
    gate!(table.page_fault, 14);
    gate!(table.x87_floating_point, 16);
    gate!(table.alignment_check, 17);
    gate!(table.machine_check, VECTOR_MACHINE_CHECK);
    gate!(table.simd_floating_point, 19);
    gate!(table.virtualization, 20);
    gate!(table.cp_protection_exception, 21);
    gate!(table.vmm_communication_exception, 29);
    gate!(table.security_exception, 30);
    for vector in 32..=255 {
        gate!(table[vector], vector);
    }
    // Ring 3 may raise none of them by INT: the privilege level of each gate stays 0, so it faults instead.
    table
}

fn stack_of(vector: u8) -> Stack {
    match vector {
        VECTOR_NON_MASKABLE => Stack::NonMaskable,
        VECTOR_DOUBLE_FAULT => Stack::DoubleFault,
        VECTOR_MACHINE_CHECK => Stack::MachineCheck,
        0..32 => Stack::Exception,
        32.. => Stack::Interrupt,
    }
}

/// Handles a trap. `frame` and `floating_point` are what was interrupted; what stands there afterwards is resumed.
extern "C" fn handle(frame: &mut TrapFrame, floating_point: &mut FloatingPoint) {
    match frame.vector {
        VECTOR_SYSCALL => upcall::foreign_syscall(frame, floating_point),
        vector if vector < EXCEPTIONS => exception(frame, floating_point),
        vector if vector == u64::from(VECTOR_TIMER) => {
            apic::end_of_interrupt();
            upcall::tick(frame, floating_point);
        }
        vector @ 0x40..=LAST_EVENT_VECTOR => {
            device(vector - u64::from(FIRST_EVENT_VECTOR));
            apic::end_of_interrupt();
        }
        // Spurious interrupts of the APIC or the legacy controller are not acknowledged (SDM 3A 11.9).
        _ => {}
    }
}

/// Handles a Machine call. The result goes to `rax` of the frame.
extern "C" fn machine_call(frame: &mut TrapFrame) {
    calls::dispatch(frame);
}

fn exception(frame: &mut TrapFrame, floating_point: &mut FloatingPoint) {
    let address = if frame.vector == VECTOR_PAGE_FAULT { crate::privileged::fault_address() } else { 0 };
    if !frame.is_from_ring_3() {
        report::nucleus_fault(frame, address);
    }
    if frame.vector == u64::from(VECTOR_NON_MASKABLE) || frame.vector == u64::from(VECTOR_MACHINE_CHECK) {
        report::guest_crash(CrashKind::Fault, frame, address, "the hardware reported an error");
    }
    upcall::fault(frame, floating_point, address);
}

/// Turns a device's interrupt into a count.
fn device(event: u64) {
    match event {
        CONSOLE => serial::receive_console(),
        STOP => serial::receive_control(),
        _ => state::count_event(event as usize),
    }
}

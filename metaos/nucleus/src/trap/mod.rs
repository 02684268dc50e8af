//! Everything that enters ring 0 after boot: exceptions, interrupts, the SYSCALL instruction.

#[cfg(not(test))]
mod entry;
#[cfg(test)]
#[path = "tests/entry.rs"]
mod entry;

pub(crate) use entry::{prepare_calls, resume, syscall_entry_address};

use crate::cpu::{KERNEL_CODE, Stack, USER_CODE, USER_DATA};
use crate::{apic, devices::FIRST_EVENT_VECTOR, privileged, report::Crash, serial, state, upcall};
use abi::control::CrashKind;
use abi::info::{EVENT_STOP, EVENTS};
use abi::upcall::{Registers, UpcallKind, VECTOR_SYSCALL};

/// Vector of the timer.
pub(crate) const VECTOR_TIMER: u64 = 0x30;
/// Vector of spurious APIC interrupts.
pub(crate) const VECTOR_SPURIOUS: u64 = 0xff;

const VECTOR_NON_MASKABLE: u64 = 2;
const VECTOR_DOUBLE_FAULT: u64 = 8;
const VECTOR_PAGE_FAULT: u64 = 14;
const VECTOR_MACHINE_CHECK: u64 = 18;
const LAST_EXCEPTION: u64 = 31;
const FIRST_EVENT: u64 = FIRST_EVENT_VECTOR as u64;
const LAST_EVENT: u64 = FIRST_EVENT + EVENTS as u64 - 1;

/// What an entry to ring 0 leaves on its stack.
#[derive(Default)]
#[repr(C)]
pub(crate) struct TrapFrame {
    /// The interrupted registers; what stands here is resumed.
    pub(crate) registers: Registers,
    /// Vector.
    pub(crate) vector: u64,
    /// Error code, 0 for vectors that have none.
    pub(crate) error_code: u64,
    /// What the CPU pushed and takes back: the way out copies `rip`, `rflags` and `rsp` here.
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// x87, SSE and MXCSR state in FXSAVE64 form (SDM 1, 10.5.1).
#[repr(C, align(16))]
pub(crate) struct FloatingPoint(pub(crate) [u64; 64]);

impl TrapFrame {
    /// Makes a frame that resumes ring 3 with `registers`, whose `rip` and `rflags` have been checked.
    pub(crate) fn of_ring_3(registers: Registers) -> Self {
        Self { registers, cs: USER_CODE.into(), ss: USER_DATA.into(), ..Self::default() }
    }

    /// Tells whether ring 3 was interrupted.
    pub(crate) const fn is_from_ring_3(&self) -> bool {
        self.cs & 3 == 3
    }

    /// Returns the address of a page fault, else 0. The CPU keeps it meanwhile: no other is survived.
    pub(crate) fn fault_address(&self) -> u64 {
        if self.vector == VECTOR_PAGE_FAULT { privileged::fault_address() } else { 0 }
    }
}

/// Makes the interrupt descriptor table: every vector on a stack of its own kind (precompiled code uses the red zone,
/// so nothing may ever be pushed on an interrupted stack).
pub(crate) fn descriptor_table() -> [[u64; 2]; 256] {
    core::array::from_fn(|vector| {
        let handler = entry::stub_address(vector as u64);
        // An interrupt gate (SDM 3A 6.14.1): handler, code segment, interrupt stack, present, type. Ring 3 may raise
        // none by INT: the privilege level of each gate is 0, so it faults instead.
        let target = (handler & 0xffff) | u64::from(KERNEL_CODE) << 16 | (handler >> 16 & 0xffff) << 48;
        [target | (stack_of(vector as u64) as u64) << 32 | 0x8e00 << 32, handler >> 32]
    })
}

const fn stack_of(vector: u64) -> Stack {
    match vector {
        VECTOR_NON_MASKABLE => Stack::NonMaskable,
        VECTOR_DOUBLE_FAULT => Stack::DoubleFault,
        VECTOR_MACHINE_CHECK => Stack::MachineCheck,
        0..=LAST_EXCEPTION => Stack::Exception,
        _ => Stack::Interrupt,
    }
}

/// Handles a trap. `frame` and `floating_point` are what was interrupted; what stands there afterwards is resumed.
extern "C" fn handle(frame: &mut TrapFrame, floating_point: &FloatingPoint) {
    match frame.vector {
        VECTOR_SYSCALL => upcall::enter(UpcallKind::ForeignSyscall, frame, floating_point),
        0..=LAST_EXCEPTION => exception(frame, floating_point),
        VECTOR_TIMER => {
            apic::end_of_interrupt();
            upcall::tick(frame, floating_point);
        }
        event @ FIRST_EVENT..=LAST_EVENT => {
            match (event - FIRST_EVENT) as usize {
                EVENT_STOP => serial::receive_control(),
                event => state::count_event(event),
            }
            apic::end_of_interrupt();
        }
        // Spurious interrupts of the APIC or the legacy controller are not acknowledged (SDM 3A 11.9).
        _ => {}
    }
}

fn exception(frame: &mut TrapFrame, floating_point: &FloatingPoint) {
    if !frame.is_from_ring_3() {
        Crash::new(CrashKind::NucleusFault, frame, &"").send_from_ring_0();
    }
    if matches!(frame.vector, VECTOR_NON_MASKABLE | VECTOR_MACHINE_CHECK) {
        Crash::new(CrashKind::Fault, frame, &"the hardware reported an error").send_from_ring_3();
    }
    upcall::enter(UpcallKind::Fault, frame, floating_point);
}

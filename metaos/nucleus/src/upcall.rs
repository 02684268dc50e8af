//! Upcalls: entering ring 3 because of a fault, a tick or a foreign system call (`abi::upcall`).

use crate::report::Crash;
use crate::state::{self, Nucleus};
use crate::trap::{self, FloatingPoint, TrapFrame};
use abi::control::CrashKind;
use abi::layout::{GUEST_IMAGE, LOWEST, USER_END};
use abi::upcall::{Registers, UpcallKind};
use core::sync::atomic::Ordering::Relaxed;

/// Flags that ring 3 may set for itself and finds again: CF, PF, AF, ZF, SF, TF, DF, OF, AC, ID. TF traps after the
/// next instruction of ring 3, never in ring 0, whose entries clear it (SDM 3B 18.3.1.4).
const USER_FLAGS: u64 = 0x24_0dd5;
/// Flags that ring 3 always runs with: interrupts on, and the bit that reads as one.
pub(crate) const FIXED_FLAGS: u64 = 0x202;
/// Flags that are harmless, and dropped: RF, which faults save as one (SDM 3B 18.3.1.1), and NT, which ring 3 may set but
/// not use.
const DROPPED_FLAGS: u64 = 1 << 16 | 1 << 14;
/// MXCSR bits that every CPU with SSE2 has (SDM 1, 10.2.3); others would fault in ring 0.
const MXCSR_BITS: u64 = 0xffff;
/// Index of the quad word in the FXSAVE image that holds MXCSR in its low half.
pub(crate) const MXCSR_WORD: usize = 3;
/// Ticks more often than this would leave no time for anything else.
const LEAST_INTERVAL_NS: u64 = 100_000;

/// Hands a fault of ring 3, or its system call from outside the gate, to its handler; or ends the machine if it has none.
pub(crate) fn enter(kind: UpcallKind, frame: &mut TrapFrame, floating_point: &FloatingPoint) {
    if let Err(crash) = deliver(kind, frame, floating_point) {
        Crash::new(crash, frame, &"").send_from_ring_3();
    }
}

/// Handles the timer: preempts a user's program, or tells our own code that a tick is pending.
pub(crate) fn tick(frame: &mut TrapFrame, floating_point: &FloatingPoint) {
    let is_due = state::with(Nucleus::take_tick).unwrap_or(false);
    if is_due && frame.is_from_ring_3() {
        let is_program = frame.registers.rip < GUEST_IMAGE.0;
        if !is_program || deliver(UpcallKind::Tick, frame, floating_point).is_err() {
            state::cpu_block().pending.store(1, Relaxed);
        }
    }
}

/// Returns what the active upcall interrupted, as it stands in the CPU block, if there is one.
pub(crate) fn interrupted() -> Option<TrapFrame> {
    let block = state::cpu_block();
    let mut frame = TrapFrame::of_ring_3(block.load_registers());
    frame.vector = block.vector.load(Relaxed);
    frame.error_code = block.error_code.load(Relaxed);
    (block.upcall_active.load(Relaxed) != 0).then_some(frame)
}

/// Resumes what the active upcall interrupted. Each field that could raise privilege is checked; a context that is not
/// one of ring 3 ends the machine.
pub(crate) fn resume(caller: &TrapFrame) -> ! {
    let refuse = |text: &str| -> ! { Crash::new(CrashKind::BadContext, caller, &text).send_from_ring_3() };
    let Some(TrapFrame { registers, .. }) = interrupted() else {
        refuse("a return from an upcall while none was active");
    };
    let Some(checked) = checked(&registers) else {
        refuse("a return from an upcall to an address or with flags that ring 3 may not have");
    };
    let block = state::cpu_block();
    let floating_point = core::array::from_fn(|index| {
        let bits = if index == MXCSR_WORD { MXCSR_BITS } else { u64::MAX };
        block.floating_point[index].load(Relaxed) & bits
    });
    block.upcall_active.store(0, Relaxed);
    // SAFETY: the frame has ring 3's selectors; `checked` has confined `rip` and the flags; MXCSR is masked. Both lie
    // on the call stack, which the next call overwrites.
    unsafe { trap::resume(&mut TrapFrame::of_ring_3(checked), &FloatingPoint(floating_point)) }
}

/// Lets `frame` enter the handler. Where that cannot be, returns what it means for a guest that cannot go on without.
fn deliver(kind: UpcallKind, frame: &mut TrapFrame, floating_point: &FloatingPoint) -> Result<(), CrashKind> {
    let is_call = kind == UpcallKind::ForeignSyscall;
    let unhandled = if is_call { CrashKind::ForeignSyscall } else { CrashKind::Fault };
    let handler = state::with(|nucleus| nucleus.upcall).flatten().ok_or(unhandled)?;
    let block = state::cpu_block();
    if block.upcall_active.load(Relaxed) != 0 {
        return Err(CrashKind::FaultInUpcall);
    }
    block.vector.store(frame.vector, Relaxed);
    block.error_code.store(frame.error_code, Relaxed);
    block.address.store(frame.fault_address(), Relaxed);
    block.store_registers(&frame.registers);
    for (slot, word) in block.floating_point.iter().zip(floating_point.0) {
        slot.store(word, Relaxed);
    }
    block.upcall_active.store(1, Relaxed);
    *frame = TrapFrame::of_ring_3(Registers { rdi: kind as u64, ..handler });
    Ok(())
}

/// Returns `registers` if ring 3 may have them.
fn checked(registers: &Registers) -> Option<Registers> {
    let is_user = (LOWEST.0..USER_END.0).contains(&registers.rip);
    let is_plain = registers.rflags & !(USER_FLAGS | FIXED_FLAGS | DROPPED_FLAGS) == 0;
    let rflags = registers.rflags & USER_FLAGS | FIXED_FLAGS;
    (is_user && is_plain).then_some(Registers { rflags, ..*registers })
}

impl Nucleus {
    /// Sets the interval of the preemption tick; 0 switches it off.
    pub(crate) fn set_tick(&mut self, interval_ns: u64) {
        self.tick_ns = if interval_ns == 0 { u64::MAX } else { interval_ns.max(LEAST_INTERVAL_NS) };
        self.tick_due_ns = self.clock.now_ns().saturating_add(self.tick_ns);
        self.clock.arm(self.tick_due_ns);
    }

    /// Tells whether a tick is due, and arms the timer for the next.
    fn take_tick(&mut self) -> bool {
        let now = self.clock.now_ns();
        let is_due = now >= self.tick_due_ns;
        if is_due {
            self.tick_due_ns = now.saturating_add(self.tick_ns);
        }
        self.clock.arm(self.tick_due_ns);
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Registers = Registers {
        rip: 0x6000_0000_1000,
        rflags: 0x10202,
        rax: 0,
        rdx: 0,
        rcx: 0,
        rbx: 0,
        rsi: 0,
        rdi: 0,
        rbp: 0,
        rsp: 0,
        r8: 0,
        r9: 0,
        r10: 0,
        r11: 0,
        r12: 0,
        r13: 0,
        r14: 0,
        r15: 0,
    };

    #[test]
    fn a_context_of_ring_3_passes_without_the_flags_of_resumption_and_nested_tasks() {
        for (rflags, resumed) in [(0x10202, 0x202), (0x246, 0x246), (0x4202, 0x202)] {
            assert_eq!(checked(&Registers { rflags, ..GOOD }), Some(Registers { rflags: resumed, ..GOOD }));
        }
    }

    #[test]
    fn a_program_that_steps_through_itself_goes_on_stepping() {
        let stepping = Registers { rflags: 0x302, ..GOOD };
        assert_eq!(checked(&stepping), Some(stepping));
    }

    #[test]
    fn an_address_outside_ring_3_is_refused() {
        for rip in [0, 0xffff, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_ffff_8000_0000, u64::MAX] {
            assert_eq!(checked(&Registers { rip, ..GOOD }), None, "{rip:#x}");
        }
    }

    #[test]
    fn flags_that_raise_privilege_are_refused() {
        // IOPL, VM, VIF, VIP, and one that is reserved.
        for bit in [12, 13, 17, 19, 20, 22] {
            assert_eq!(checked(&Registers { rflags: 0x202 | 1 << bit, ..GOOD }), None, "bit {bit}");
        }
    }
}

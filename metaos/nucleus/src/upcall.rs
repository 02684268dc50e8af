//! Upcalls: entering ring 3 because of a fault, a tick or a foreign system call (`abi::upcall`).

use crate::state::{Nucleus, Tick};
use crate::trap::{self, FloatingPoint, TrapFrame};
use crate::{apic, report, state};
use abi::control::CrashKind;
use abi::layout::{GUEST_IMAGE, LOWEST, USER_END};
use abi::upcall::{CpuBlock, Registers, UpcallKind};
use core::sync::atomic::Ordering::Relaxed;

/// Flags that ring 3 may set for itself: CF, PF, AF, ZF, SF, DF, OF, AC, ID.
const USER_FLAGS: u64 = 0x24_0cd5;
/// Flags that ring 3 always runs with: interrupts on, and the bit that reads as one.
const FIXED_FLAGS: u64 = 0x202;
/// MXCSR bits that every CPU with SSE2 has (SDM 1, 10.2.3); others would fault in ring 0.
const MXCSR_BITS: u64 = 0xffff;
/// Index of the quad word in the FXSAVE image that holds MXCSR in its low half.
const MXCSR_WORD: usize = 3;

/// Hands a fault of ring 3 to its handler, or ends the machine if it has none.
pub fn fault(frame: &mut TrapFrame, floating_point: &mut FloatingPoint, address: u64) {
    match deliver(UpcallKind::Fault, frame, floating_point, address) {
        Delivery::Done => {}
        Delivery::NoHandler => report::guest_crash(CrashKind::Fault, frame, address, ""),
        Delivery::Busy => report::guest_crash(
            CrashKind::FaultInUpcall,
            frame,
            address,
            "the guest faulted while it handled a fault or a tick",
        ),
    }
}

/// Hands a system call from outside the gate to the guest.
pub fn foreign_syscall(frame: &mut TrapFrame, floating_point: &mut FloatingPoint) {
    match deliver(UpcallKind::ForeignSyscall, frame, floating_point, 0) {
        Delivery::Done => {}
        Delivery::NoHandler => report::guest_crash(CrashKind::ForeignSyscall, frame, 0, ""),
        Delivery::Busy => {
            report::guest_crash(CrashKind::FaultInUpcall, frame, 0, "a system call in an upcall handler");
        }
    }
}

/// Handles the timer: preempts a user's program, or tells our own code that a tick is pending.
pub fn tick(frame: &mut TrapFrame, floating_point: &mut FloatingPoint) {
    apic::count_timer_interrupt();
    let is_due = state::with(|nucleus| nucleus.take_tick()).unwrap_or(false);
    if !is_due || !frame.is_from_ring_3() {
        return;
    }
    let is_program = frame.rip < GUEST_IMAGE.0;
    let delivered =
        is_program && matches!(deliver(UpcallKind::Tick, frame, floating_point, 0), Delivery::Done);
    if !delivered {
        state::cpu_block().pending.store(1, Relaxed);
    }
}

/// Resumes what the active upcall interrupted, as it stands in the CPU block. Each field that could raise privilege is
/// checked; a context that is not one of ring 3 ends the machine.
pub fn resume(caller: &TrapFrame) -> ! {
    let block = state::cpu_block();
    if block.upcall_active.load(Relaxed) == 0 {
        report::guest_crash(
            CrashKind::BadContext,
            caller,
            0,
            "a return from an upcall while none was active",
        );
    }
    let registers = block.load_registers();
    let Some(registers) = checked(&registers) else {
        report::guest_crash(
            CrashKind::BadContext,
            caller,
            registers.rip,
            "a return from an upcall to an address or with flags that ring 3 may not have",
        );
    };
    let mut floating_point = FloatingPoint([0; 64]);
    for (word, slot) in floating_point.0.iter_mut().zip(&block.floating_point) {
        *word = slot.load(Relaxed);
    }
    floating_point.0[MXCSR_WORD] &= MXCSR_BITS;
    let mut frame = TrapFrame::default();
    frame.resume_with(&registers);
    block.upcall_active.store(0, Relaxed);
    // SAFETY: `resume_with` sets ring 3's selectors; `checked` has confined `rip` and the flags; MXCSR is masked. Both
    // lie on the call stack, which the next call overwrites.
    unsafe { trap::resume(&frame, &floating_point) }
}

/// What became of an upcall.
enum Delivery {
    /// The frame now enters the handler.
    Done,
    /// The guest has registered none.
    NoHandler,
    /// Another upcall is active.
    Busy,
}

fn deliver(
    kind: UpcallKind,
    frame: &mut TrapFrame,
    floating_point: &mut FloatingPoint,
    address: u64,
) -> Delivery {
    let Some(handler) = state::with(|nucleus| nucleus.upcall).flatten() else {
        return Delivery::NoHandler;
    };
    let block = state::cpu_block();
    if block.upcall_active.load(Relaxed) != 0 {
        return Delivery::Busy;
    }
    save(block, frame, floating_point, address);
    block.upcall_active.store(1, Relaxed);
    let entry = Registers {
        rdi: kind as u64,
        rip: handler.entry,
        // As after a call: the handler finds its stack 8 bytes off a multiple of 16.
        rsp: handler.stack_top - 8,
        rflags: FIXED_FLAGS,
        ..Registers::default()
    };
    frame.resume_with(&entry);
    Delivery::Done
}

fn save(block: &CpuBlock, frame: &TrapFrame, floating_point: &FloatingPoint, address: u64) {
    block.vector.store(frame.vector, Relaxed);
    block.error_code.store(frame.error_code, Relaxed);
    block.address.store(address, Relaxed);
    block.store_registers(&frame.registers());
    for (slot, word) in block.floating_point.iter().zip(floating_point.0) {
        slot.store(word, Relaxed);
    }
}

/// Returns `registers` if ring 3 may have them.
fn checked(registers: &Registers) -> Option<Registers> {
    let is_user = (LOWEST.0..USER_END.0).contains(&registers.rip);
    let is_plain = registers.rflags & !(USER_FLAGS | FIXED_FLAGS | RESUME_FLAG) == 0;
    let rflags = registers.rflags & USER_FLAGS | FIXED_FLAGS;
    (is_user && is_plain).then_some(Registers { rflags, ..*registers })
}

/// RF: faults save it as one (SDM 3B 18.3.1.1); harmless, and dropped.
const RESUME_FLAG: u64 = 1 << 16;

impl Nucleus {
    /// Tells whether a tick is due, and if so arms the next.
    fn take_tick(&mut self) -> bool {
        let Some(tick) = &mut self.tick else { return false };
        let now = self.clock.now_ns();
        let is_due = now >= tick.due_ns;
        if is_due {
            tick.due_ns = now.saturating_add(tick.interval_ns);
        }
        let due_ns = tick.due_ns;
        self.clock.arm(&self.apic, due_ns);
        is_due
    }

    /// Sets the interval of the preemption tick; 0 switches it off.
    pub fn set_tick(&mut self, interval_ns: u64) {
        /// Ticks more often than this would leave no time for anything else.
        const LEAST_INTERVAL_NS: u64 = 100_000;
        self.apic.disarm();
        self.tick = (interval_ns != 0).then(|| {
            let interval_ns = interval_ns.max(LEAST_INTERVAL_NS);
            Tick { interval_ns, due_ns: self.clock.now_ns().saturating_add(interval_ns) }
        });
        if let Some(tick) = self.tick {
            self.clock.arm(&self.apic, tick.due_ns);
        }
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
    fn a_context_of_ring_3_passes_without_the_resume_flag() {
        assert_eq!(checked(&GOOD), Some(Registers { rflags: 0x202, ..GOOD }));
        assert_eq!(checked(&Registers { rflags: 0x246, ..GOOD }), Some(Registers { rflags: 0x246, ..GOOD }));
    }

    #[test]
    fn an_address_outside_ring_3_is_refused() {
        for rip in [0, 0xffff, 0x7fff_ffff_f000, 0x8000_0000_0000, 0xffff_ffff_8000_0000, u64::MAX] {
            assert_eq!(checked(&Registers { rip, ..GOOD }), None, "{rip:#x}");
        }
    }

    #[test]
    fn flags_that_raise_privilege_are_refused() {
        // TF, IOPL, NT, VM, VIF, VIP.
        for bit in [8, 12, 13, 14, 17, 19, 20] {
            assert_eq!(checked(&Registers { rflags: 0x202 | 1 << bit, ..GOOD }), None, "bit {bit}");
        }
    }
}

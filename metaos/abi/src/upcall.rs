//! Upcalls: how the machine below enters ring 3 by itself.
//!
//! The context goes to a pinned block per CPU, never to an address that the guest chose, and nothing is written
//! near the interrupted stack pointer (red zone). The handler runs on the registered stack with the kind of upcall
//! in `rdi`. While one upcall is active others are held; a fault in it ends the guest with a report.

use core::sync::atomic::{AtomicU64, Ordering};

/// Why an upcall happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum UpcallKind {
    /// The guest faulted; see `vector`, `error_code` and `address`.
    Fault = 1,
    /// The preemption tick hit a user's program.
    Tick = 2,
    /// A `syscall` outside the gate: a call of a Linux program. `rcx` of the context is gone: `rip` is the
    /// instruction after the `syscall`.
    ForeignSyscall = 3,
}

impl UpcallKind {
    /// Returns the kind with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Fault),
            2 => Some(Self::Tick),
            3 => Some(Self::ForeignSyscall),
            _ => None,
        }
    }
}

/// What stands for an exception vector where ring 0 was entered by the SYSCALL instruction; no interrupt has it.
pub const VECTOR_SYSCALL: u64 = 0x100;

/// General registers, in the order of the DWARF numbering of x86-64, then `rip` and `rflags`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are the registers of the manual")]
pub struct Registers {
    pub rax: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
}

/// How many registers there are.
pub const REGISTERS: usize = 18;

impl Registers {
    /// Makes them of what they hold, in the order of the fields.
    #[must_use]
    pub const fn from_words(words: [u64; REGISTERS]) -> Self {
        let [rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags] =
            words;
        Self { rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags }
    }

    /// Returns what they hold, in the order of the fields.
    #[must_use]
    pub const fn to_words(&self) -> [u64; REGISTERS] {
        let Self {
            rax,
            rdx,
            rcx,
            rbx,
            rsi,
            rdi,
            rbp,
            rsp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rflags,
        } = *self;
        [rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags]
    }
}

/// The pinned block of one CPU; GS base of ring 3 points here, so its offsets are part of the contract.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct CpuBlock {
    /// Address of this block (`mov %gs:0, reg` finds it).
    pub self_address: AtomicU64,
    /// Index of this CPU.
    pub cpu: AtomicU64,
    /// The current thread, for the library OS alone.
    pub current_thread: AtomicU64,
    /// 1 while an upcall is active. Written below only.
    pub upcall_active: AtomicU64,
    /// 1 if a tick came while our own code ran; the dispatcher tests and clears it.
    pub pending: AtomicU64,
    /// Exception vector of a fault (SDM 3A table 6-1).
    pub vector: AtomicU64,
    /// Error code of a fault.
    pub error_code: AtomicU64,
    /// Faulting address (CR2) of a page fault.
    pub address: AtomicU64,
    /// Scratch slots for patch stubs and the library OS.
    pub scratch: [AtomicU64; 8],
    /// The interrupted registers; what stands here at the return is resumed.
    pub registers: [AtomicU64; REGISTERS],
    /// Fills up to the 16-byte alignment that FXSAVE asks for.
    pub reserved: [AtomicU64; 14],
    /// The interrupted x87, SSE and MXCSR state in FXSAVE64 form.
    pub floating_point: [AtomicU64; 64],
}

impl CpuBlock {
    /// Reads the interrupted registers, each once.
    #[must_use]
    pub fn load_registers(&self) -> Registers {
        Registers::from_words(core::array::from_fn(|index| self.registers[index].load(Ordering::Relaxed)))
    }

    /// Writes the registers to resume with.
    pub fn store_registers(&self, registers: &Registers) {
        for (slot, value) in self.registers.iter().zip(registers.to_words()) {
            slot.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn the_block_has_the_offsets_that_assembly_relies_on() {
        assert_eq!(offset_of!(CpuBlock, current_thread), 16);
        assert_eq!(offset_of!(CpuBlock, scratch), 64);
        assert_eq!(offset_of!(CpuBlock, floating_point) % 16, 0);
        assert!(size_of::<CpuBlock>() <= crate::layout::CPU_BLOCK_SIZE);
    }
}

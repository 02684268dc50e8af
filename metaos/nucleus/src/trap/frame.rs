//! What an entry to ring 0 leaves on its stack.

use crate::cpu::{USER_CODE, USER_DATA};
use abi::upcall::Registers;

/// The interrupted registers, in the order in which [`super::entry`] pushes them, then what the CPU pushed.
#[derive(Debug, Default)]
#[repr(C)]
#[expect(missing_docs, reason = "the fields are the registers of the manual")]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// x87, SSE and MXCSR state in FXSAVE64 form (SDM 1, 10.5.1).
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct FloatingPoint(pub [u64; 64]);

impl TrapFrame {
    /// Tells whether ring 3 was interrupted.
    #[must_use]
    pub const fn is_from_ring_3(&self) -> bool {
        self.cs & 3 == 3
    }

    /// Returns the registers in the order of the contract.
    #[must_use]
    pub const fn registers(&self) -> Registers {
        Registers {
            rax: self.rax,
            rdx: self.rdx,
            rcx: self.rcx,
            rbx: self.rbx,
            rsi: self.rsi,
            rdi: self.rdi,
            rbp: self.rbp,
            rsp: self.rsp,
            r8: self.r8,
            r9: self.r9,
            r10: self.r10,
            r11: self.r11,
            r12: self.r12,
            r13: self.r13,
            r14: self.r14,
            r15: self.r15,
            rip: self.rip,
            rflags: self.rflags,
        }
    }

    /// Makes the frame resume ring 3 with `registers`, whose `rip` and `rflags` have been checked.
    pub const fn resume_with(&mut self, registers: &Registers) {
        let vector = self.vector;
        *self = Self {
            r15: registers.r15,
            r14: registers.r14,
            r13: registers.r13,
            r12: registers.r12,
            r11: registers.r11,
            r10: registers.r10,
            r9: registers.r9,
            r8: registers.r8,
            rbp: registers.rbp,
            rdi: registers.rdi,
            rsi: registers.rsi,
            rbx: registers.rbx,
            rcx: registers.rcx,
            rdx: registers.rdx,
            rax: registers.rax,
            vector,
            error_code: 0,
            rip: registers.rip,
            cs: USER_CODE as u64,
            rflags: registers.rflags,
            rsp: registers.rsp,
            ss: USER_DATA as u64,
        };
    }
}

//! System calls of Linux, made by a guest that runs as a process and that may make hardly any.
//!
//! A guest that is on a machine instead makes Machine calls of the same numbers when it goes by the gate: these crimes
//! are for processes.

use core::arch::asm;

/// Numbers of calls (`arch/x86/entry/syscalls/syscall_64.tbl`).
pub mod number {
    /// `write`.
    pub const WRITE: u64 = 1;
    /// `open`.
    pub const OPEN: u64 = 2;
    /// `mmap`.
    pub const MMAP: u64 = 9;
    /// `mprotect`.
    pub const MPROTECT: u64 = 10;
    /// `socket`.
    pub const SOCKET: u64 = 41;
    /// `fork`.
    pub const FORK: u64 = 57;
    /// `execve`.
    pub const EXECVE: u64 = 59;
    /// `kill`.
    pub const KILL: u64 = 62;
    /// `ptrace`.
    pub const PTRACE: u64 = 101;
    /// `seccomp`.
    pub const SECCOMP: u64 = 317;
    /// Set in the number of a call of x32.
    pub const X32: u64 = 0x4000_0000;
}

/// `PROT_READ | PROT_WRITE`.
pub const READ_WRITE: u64 = 3;
/// `PROT_READ | PROT_EXEC`.
pub const READ_EXECUTE: u64 = 5;
/// `MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE`: what a guest may ask for.
pub const FRESH: u64 = 0x10_4022;
/// `MAP_SHARED | MAP_FIXED_NOREPLACE`: a file.
pub const OF_FILE: u64 = 0x10_0001;
/// What stands for no file.
pub const NO_FILE: u64 = u64::MAX;

/// A file that every Linux has.
const PATH: &core::ffi::CStr = c"/proc/self/exe";

/// Returns the address of the name of a file.
#[must_use]
pub fn path() -> u64 {
    PATH.as_ptr().expose_provenance() as u64
}

/// Makes a system call by the gate.
pub fn from_gate(number: u64, arguments: [u64; 6]) {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: none. The filter is to stop it.
    unsafe {
        asm!(
            "call metaos_gate_syscall",
            inlateout("rax") number => _,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            clobber_abi("C"),
        );
    }
}

/// Makes a system call by an instruction of its own.
pub fn beside_gate(number: u64, arguments: [u64; 3]) {
    let [first, second, third] = arguments;
    // SAFETY: none. The machine below, or the filter, is to stop it.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => _,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            out("rcx") _,
            out("r11") _,
        );
    }
}

//! The control channel: a byte stream beside the console, by which a machine tells its runner how it ended, and
//! the runner asks it to stop.
//!
//! Guest to runner: records of a [`RecordHeader`] and its payload. Runner to guest: single bytes.
//! The channel is the second serial port, and only if the command line says so ([`OPTION`]): without a runner
//! nobody reads it, and the nucleus prints reports on the console instead.

use crate::upcall::Registers;

/// Command-line word by which the runner announces that it reads the control channel.
pub const OPTION: &[u8] = b"metaos.control=com2";

/// Byte by which the runner asks the guest to stop.
pub const REQUEST_STOP: u8 = b'S';

/// First field of every record.
pub const MAGIC: u32 = u32::from_le_bytes(*b"mOS1");

/// Kind of a record: [`RecordHeader::kind`].
pub mod record {
    /// The guest ended; the payload is one byte, its exit status.
    pub const EXIT: u32 = 1;
    /// The guest or the nucleus crashed; the payload is a [`super::CrashHeader`], the text, the stack bytes.
    pub const CRASH: u32 = 2;
    /// The nucleus takes console input from now on; no payload. What was typed before may be lost.
    pub const READY: u32 = 3;
}

/// Start of a record, little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct RecordHeader {
    /// [`MAGIC`].
    pub magic: u32,
    /// One of [`record`].
    pub kind: u32,
    /// Bytes of payload that follow.
    pub length: u32,
    /// Zero.
    pub reserved: u32,
}

/// Most bytes of stack that a crash record carries.
pub const MAX_STACK_BYTES: usize = 32 << 10;
/// Most bytes of text that a crash record carries.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Why a machine crashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CrashKind {
    /// A CPU exception in ring 3; `vector`, `error_code` and `address` say which.
    Fault = 1,
    /// A Rust panic; the text is its message and place.
    Panic = 2,
    /// The allocator found no memory.
    OutOfMemory = 3,
    /// A stack ran into its guard page; the text names the thread.
    StackOverflow = 4,
    /// A CPU exception in ring 0: a defect of the nucleus.
    NucleusFault = 5,
    /// A Rust panic in ring 0: a defect of the nucleus, or an image it cannot run; the text says which.
    NucleusPanic = 6,
    /// A fault while an upcall was active.
    FaultInUpcall = 7,
    /// The guest returned from an upcall with a context that is not one of ring 3.
    BadContext = 8,
    /// A `syscall` outside the gate in a guest that has no Linux door.
    ForeignSyscall = 9,
}

impl CrashKind {
    /// Returns the kind with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Fault,
            2 => Self::Panic,
            3 => Self::OutOfMemory,
            4 => Self::StackOverflow,
            5 => Self::NucleusFault,
            6 => Self::NucleusPanic,
            7 => Self::FaultInUpcall,
            8 => Self::BadContext,
            9 => Self::ForeignSyscall,
            _ => return None,
        })
    }
}

/// Start of a crash record's payload, little-endian; `text_length` bytes of UTF-8 text and `stack_length` bytes of
/// stack follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct CrashHeader {
    /// A [`CrashKind`] number.
    pub kind: u32,
    /// Exception vector (SDM 3A table 6-1), where there was one.
    pub vector: u32,
    /// Error code of the exception.
    pub error_code: u64,
    /// Faulting address (CR2) of a page fault.
    pub address: u64,
    /// The registers where it happened.
    pub registers: Registers,
    /// Address of the first stack byte that follows: `rsp`, or the first mapped page above it.
    pub stack_start: u64,
    /// Bytes of text.
    pub text_length: u32,
    /// Bytes of stack.
    pub stack_length: u32,
}

/// Exit status of a runner whose guest crashed: what a shell shows for a process ended by SIGABRT.
pub const STATUS_CRASHED: u8 = 134;
/// Exit status of a guest that was asked to stop and does not handle it: what a shell shows for SIGINT.
pub const STATUS_STOPPED: u8 = 130;

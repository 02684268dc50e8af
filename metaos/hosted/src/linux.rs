//! The system calls of Linux on x86-64 that this machine makes, all of them, behind functions that say what they do.
//!
//! They go through the guest's one `syscall` instruction, because the filter lets them come from nowhere else. Numbers
//! and structures are those of the kernel's headers (`asm/unistd_64.h`, `linux/*.h`); results below zero are errors.

use abi::PAGE_SIZE;
use abi::hosted::Instruction;
use core::ffi::c_void;
use core::ptr;

unsafe extern "C" {
    /// The gate: makes system call `number`. The entry crate defines it.
    fn metaos_gate(
        first: u64,
        second: u64,
        third: u64,
        fourth: u64,
        fifth: u64,
        sixth: u64,
        number: u64,
    ) -> u64;
}

/// Why the host refused: `errno`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    pub(crate) const INTERRUPTED: Self = Self(4);
    pub(crate) const AGAIN: Self = Self(11);
    pub(crate) const NO_MEMORY: Self = Self(12);
    pub(crate) const EXISTS: Self = Self(17);
    pub(crate) const TOO_LONG: Self = Self(90);
}

/// Numbers of calls.
mod number {
    pub(super) const READ: u64 = 0;
    pub(super) const WRITE: u64 = 1;
    pub(super) const CLOSE: u64 = 3;
    pub(super) const MMAP: u64 = 9;
    pub(super) const MPROTECT: u64 = 10;
    pub(super) const MUNMAP: u64 = 11;
    pub(super) const RT_SIGACTION: u64 = 13;
    pub(super) const RT_SIGPROCMASK: u64 = 14;
    pub(super) const RT_SIGRETURN: u64 = 15;
    pub(super) const IOCTL: u64 = 16;
    pub(super) const READV: u64 = 19;
    pub(super) const WRITEV: u64 = 20;
    pub(super) const MINCORE: u64 = 27;
    pub(super) const DUP2: u64 = 33;
    pub(super) const SETITIMER: u64 = 38;
    pub(super) const SENDMSG: u64 = 46;
    pub(super) const RECVFROM: u64 = 45;
    pub(super) const FCNTL: u64 = 72;
    pub(super) const FTRUNCATE: u64 = 77;
    pub(super) const SIGALTSTACK: u64 = 131;
    pub(super) const PRCTL: u64 = 157;
    pub(super) const ARCH_PRCTL: u64 = 158;
    pub(super) const CLOCK_GETTIME: u64 = 228;
    pub(super) const EXIT_GROUP: u64 = 231;
    pub(super) const PPOLL: u64 = 271;
    pub(super) const EVENTFD2: u64 = 290;
    pub(super) const RECVMMSG: u64 = 299;
    pub(super) const SENDMMSG: u64 = 307;
    pub(super) const SECCOMP: u64 = 317;
    pub(super) const GETRANDOM: u64 = 318;
    pub(super) const MEMFD_CREATE: u64 = 319;
    pub(super) const CLOSE_RANGE: u64 = 436;
}

/// Number of the call that a signal handler returns by, for assembly.
pub(crate) const RT_SIGRETURN: u64 = number::RT_SIGRETURN;

/// A piece of memory to read from or to write to: `struct iovec`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Piece {
    pub(crate) const EMPTY: Self = Self { start: 0, length: 0 };
}

/// `struct msghdr`, without address and control data.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Message {
    name: u64,
    name_length: u64,
    pieces: u64,
    piece_count: u64,
    control: u64,
    control_length: u64,
    flags: u64,
}

/// `struct mmsghdr`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct BatchMessage {
    message: Message,
    /// Bytes that were sent or came in.
    pub(crate) length: u32,
    padding: u32,
}

impl BatchMessage {
    pub(crate) const EMPTY: Self = Self::new(0, 0);

    const fn new(pieces: u64, piece_count: u64) -> Self {
        let message =
            Message { name: 0, name_length: 0, pieces, piece_count, control: 0, control_length: 0, flags: 0 };
        Self { message, length: 0, padding: 0 }
    }

    /// Makes a message of `pieces`, which must stay where they are until it is sent or has come in.
    pub(crate) fn of(pieces: &[Piece]) -> Self {
        Self::new(address(pieces.as_ptr()), pieces.len() as u64)
    }
}

/// What is waited for on an open file: `struct pollfd`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Watch {
    pub(crate) descriptor: i32,
    pub(crate) wanted: i16,
    pub(crate) happened: i16,
}

/// There is something to read (`POLLIN`).
pub(crate) const READABLE: i16 = 1;
/// There is room to write (`POLLOUT`).
pub(crate) const WRITABLE: i16 = 4;

/// Seconds and nanoseconds: `struct timespec`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct TimeSpec {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: i64,
}

/// Clocks of `clock_gettime`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(crate) enum Clock {
    RealTime = 0,
    Monotonic = 1,
}

/// What a signal does: the kernel's `struct sigaction`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct SignalAction {
    pub(crate) handler: u64,
    pub(crate) flags: u64,
    pub(crate) restorer: u64,
    pub(crate) mask: u64,
}

/// `PROT_*` and `MAP_*` of the kernel.
pub(crate) mod map {
    pub(crate) const READ: u64 = 1;
    pub(crate) const WRITE: u64 = 2;
    pub(crate) const EXECUTE: u64 = 4;
    /// Private, anonymous, at the given address unless something is there, and not counted before it is used.
    pub(crate) const FRESH: u64 = 0x02 | 0x20 | 0x10_0000 | 0x4000;
    /// The same wherever there is room.
    pub(crate) const ANYWHERE: u64 = 0x02 | 0x20 | 0x4000;
    pub(crate) const SHARED: u64 = 0x01;
    pub(crate) const SHARED_FRESH: u64 = 0x01 | 0x10_0000;
}

const NO_FILE: u64 = u64::MAX;
const DO_NOT_WAIT: u64 = 0x40;
const NO_SIGNAL: u64 = 0x4000;

fn call(number: u64, arguments: [u64; 6]) -> Result<u64, Errno> {
    const LAST_ERROR: u64 = -4095_i64 as u64;

    let [first, second, third, fourth, fifth, sixth] = arguments;
    // SAFETY: each function of this module says by its arguments what memory the kernel reads and writes.
    let result = unsafe { metaos_gate(first, second, third, fourth, fifth, sixth, number) };
    if result >= LAST_ERROR { Err(Errno((result as i64).unsigned_abs() as i32)) } else { Ok(result) }
}

fn done(outcome: Result<u64, Errno>) -> Result<(), Errno> {
    outcome.map(|_| ())
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// Makes a call that moves so much from or to what lies at `start`, and returns how much it was.
fn transfer(number: u64, descriptor: i32, start: u64, length: u64, flags: u64) -> Result<usize, Errno> {
    call(number, [file(descriptor), start, length, flags, 0, 0]).map(|count| count as usize)
}

const fn file(descriptor: i32) -> u64 {
    descriptor as u64
}

/// Maps zeroed private memory at `start`.
pub(crate) fn map_fresh(start: u64, length: u64, protection: u64) -> Result<(), Errno> {
    let place = call(number::MMAP, [start, length, protection, map::FRESH, NO_FILE, 0])?;
    if place == start {
        return Ok(());
    }
    // A kernel before 4.17 takes the address for a wish.
    unmap(place, length)?;
    Err(Errno::EXISTS)
}

/// Maps zeroed private memory that can be read and written, wherever there is room.
pub(crate) fn map_anywhere(length: u64) -> Result<u64, Errno> {
    call(number::MMAP, [0, length, map::READ | map::WRITE, map::ANYWHERE, NO_FILE, 0])
}

/// Maps a file's first bytes, shared, at `start`, or anywhere if that is 0.
pub(crate) fn map_file(start: u64, length: u64, protection: u64, descriptor: i32) -> Result<u64, Errno> {
    let flags = if start == 0 { map::SHARED } else { map::SHARED_FRESH };
    call(number::MMAP, [start, length, protection, flags, file(descriptor), 0])
}

/// Changes the rights of pages.
pub(crate) fn protect(start: u64, length: u64, protection: u64) -> Result<(), Errno> {
    done(call(number::MPROTECT, [start, length, protection, 0, 0, 0]))
}

/// Unmaps pages.
pub(crate) fn unmap(start: u64, length: u64) -> Result<(), Errno> {
    done(call(number::MUNMAP, [start, length, 0, 0, 0, 0]))
}

/// Tells whether every page of a range is mapped.
pub(crate) fn is_mapped(start: u64, length: u64) -> bool {
    const PAGES: usize = 512;
    const STRIDE: u64 = (PAGES * PAGE_SIZE) as u64;

    let mut resident = [0_u8; PAGES];
    let places = address(resident.as_mut_ptr());
    (0..length.div_ceil(STRIDE)).map(|turn| turn * STRIDE).all(|done| {
        let arguments = [start + done, (length - done).min(STRIDE), places, 0, 0, 0];
        call(number::MINCORE, arguments).is_ok()
    })
}

/// Tells whether the guest may read a page.
pub(crate) fn is_readable(page: u64) -> bool {
    const MASK_BYTES: u64 = 8;

    let no_time = TimeSpec::default();
    // Waits for nothing and for no time, while the signals that are named there are held: the kernel looks.
    call(number::PPOLL, [0, 0, address(&raw const no_time), page, MASK_BYTES, 0]).is_ok()
}

/// Reads into `buffer` and returns how many bytes came; 0: the end.
pub(crate) fn read(descriptor: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    transfer(number::READ, descriptor, address(buffer.as_mut_ptr()), buffer.len() as u64, 0)
}

/// Writes `bytes` and returns how many were taken.
pub(crate) fn write(descriptor: i32, bytes: &[u8]) -> Result<usize, Errno> {
    write_memory(descriptor, address(bytes.as_ptr()), bytes.len() as u64)
}

/// Writes memory that may not be there, up to its first byte that is not.
pub(crate) fn write_memory(descriptor: i32, start: u64, length: u64) -> Result<usize, Errno> {
    transfer(number::WRITE, descriptor, start, length, 0)
}

/// Reads one message into pieces of memory that the guest has lent to its device.
pub(crate) fn read_pieces(descriptor: i32, pieces: &[Piece]) -> Result<usize, Errno> {
    transfer(number::READV, descriptor, address(pieces.as_ptr()), pieces.len() as u64, 0)
}

/// Writes pieces of memory as one message.
pub(crate) fn write_pieces(descriptor: i32, pieces: &[Piece]) -> Result<usize, Errno> {
    transfer(number::WRITEV, descriptor, address(pieces.as_ptr()), pieces.len() as u64, 0)
}

/// Receives from a stream socket without waiting.
pub(crate) fn receive(descriptor: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
    let start = address(buffer.as_mut_ptr());
    transfer(number::RECVFROM, descriptor, start, buffer.len() as u64, DO_NOT_WAIT)
}

/// Sends on a stream socket without waiting, and returns how many bytes were taken.
pub(crate) fn send(descriptor: i32, pieces: &[Piece]) -> Result<usize, Errno> {
    let message = BatchMessage::of(pieces).message;
    // The flags stand where others have the length.
    transfer(number::SENDMSG, descriptor, address(&raw const message), DO_NOT_WAIT | NO_SIGNAL, 0)
}

/// Receives messages without waiting, and returns how many came.
pub(crate) fn receive_batch(descriptor: i32, messages: &mut [BatchMessage]) -> Result<usize, Errno> {
    let start = address(messages.as_mut_ptr());
    transfer(number::RECVMMSG, descriptor, start, messages.len() as u64, DO_NOT_WAIT)
}

/// Sends messages without waiting, and returns how many were taken.
pub(crate) fn send_batch(descriptor: i32, messages: &mut [BatchMessage]) -> Result<usize, Errno> {
    let start = address(messages.as_mut_ptr());
    transfer(number::SENDMMSG, descriptor, start, messages.len() as u64, DO_NOT_WAIT | NO_SIGNAL)
}

/// Sleeps until something happens on one of the files, a signal comes, or the time is over; tells how many happened.
pub(crate) fn poll(watches: &mut [Watch], timeout: Option<TimeSpec>) -> Result<usize, Errno> {
    let time = timeout.as_ref().map_or(0, |time| address(ptr::from_ref(time)));
    let arguments = [address(watches.as_mut_ptr()), watches.len() as u64, time, 0, 0, 0];
    call(number::PPOLL, arguments).map(|count| count as usize)
}

/// Reads a clock.
pub(crate) fn time(clock: Clock) -> TimeSpec {
    let mut time = TimeSpec::default();
    // These clocks are always there.
    let _: Result<u64, Errno> =
        call(number::CLOCK_GETTIME, [clock as u64, address(&raw mut time), 0, 0, 0, 0]);
    time
}

/// Fills `bytes` from the host's generator, and tells whether it could.
pub(crate) fn random(bytes: &mut [u8]) -> bool {
    let arguments = [address(bytes.as_mut_ptr()), bytes.len() as u64, 0, 0, 0, 0];
    call(number::GETRANDOM, arguments) == Ok(bytes.len() as u64)
}

/// Raises `SIGALRM` every so many microseconds; 0: no more.
pub(crate) fn set_interval(microseconds: u64) {
    const REAL_TIME: u64 = 0;

    let half = [microseconds / 1_000_000, microseconds % 1_000_000];
    let value = [half, half];
    // The values are within their bounds.
    let _: Result<u64, Errno> = call(number::SETITIMER, [REAL_TIME, address(value.as_ptr()), 0, 0, 0, 0]);
}

/// Says what a signal does.
pub(crate) fn set_action(signal: i32, action: &SignalAction) -> Result<(), Errno> {
    const SET_BYTES: u64 = 8;

    let arguments = [signal as u64, address(ptr::from_ref(action)), 0, SET_BYTES, 0, 0];
    done(call(number::RT_SIGACTION, arguments))
}

/// Lets every signal come in.
pub(crate) fn unblock_signals() -> Result<(), Errno> {
    const SET_MASK: u64 = 2;
    const SET_BYTES: u64 = 8;

    let none = 0_u64;
    done(call(number::RT_SIGPROCMASK, [SET_MASK, address(&raw const none), 0, SET_BYTES, 0, 0]))
}

/// Names the stack that signals are handled on.
pub(crate) fn set_signal_stack(start: u64, length: u64) -> Result<(), Errno> {
    // `stack_t`: start, flags, length.
    let stack = [start, 0, length];
    done(call(number::SIGALTSTACK, [address(stack.as_ptr()), 0, 0, 0, 0, 0]))
}

/// Sets GS base.
pub(crate) fn set_gs_base(base: u64) -> Result<(), Errno> {
    const ARCH_SET_GS: u64 = 0x1001;

    done(call(number::ARCH_PRCTL, [ARCH_SET_GS, base, 0, 0, 0, 0]))
}

/// Makes a counter that can be waited for, and gives it this number.
pub(crate) fn make_counter(descriptor: i32) -> Result<(), Errno> {
    const NON_BLOCKING: u64 = 0o4000;

    let made = call(number::EVENTFD2, [0, NON_BLOCKING, 0, 0, 0, 0])?;
    if made != file(descriptor) {
        call(number::DUP2, [made, file(descriptor), 0, 0, 0, 0])?;
        close(made as i32);
    }
    Ok(())
}

/// Makes a file without a name, of `length` zeros.
pub(crate) fn make_file(length: u64) -> Result<i32, Errno> {
    let made = call(number::MEMFD_CREATE, [address(c"metaos".as_ptr()), 0, 0, 0, 0, 0])?;
    call(number::FTRUNCATE, [made, length, 0, 0, 0, 0])?;
    Ok(made as i32)
}

/// Closes an open file; one that is not open stays so.
pub(crate) fn close(descriptor: i32) {
    let _: Result<u64, Errno> = call(number::CLOSE, [file(descriptor), 0, 0, 0, 0, 0]);
}

/// Closes every open file from this number on.
pub(crate) fn close_from(first: i32) -> Result<(), Errno> {
    done(call(number::CLOSE_RANGE, [file(first), u64::from(u32::MAX), 0, 0, 0, 0]))
}

/// Lets reading and writing fail where they would have to wait.
pub(crate) fn make_non_blocking(descriptor: i32) -> Result<(), Errno> {
    const GET_FLAGS: u64 = 3;
    const SET_FLAGS: u64 = 4;
    const NON_BLOCKING: u64 = 0o4000;

    let flags = call(number::FCNTL, [file(descriptor), GET_FLAGS, 0, 0, 0, 0])?;
    done(call(number::FCNTL, [file(descriptor), SET_FLAGS, flags | NON_BLOCKING, 0, 0, 0]))
}

/// Says how long the header before each frame of a tap device is (`TUNSETVNETHDRSZ`).
pub(crate) fn set_tap_header(descriptor: i32, length: i32) -> Result<(), Errno> {
    const TUNSETVNETHDRSZ: u64 = 0x4004_54d8;

    done(call(number::IOCTL, [file(descriptor), TUNSETVNETHDRSZ, address(&raw const length), 0, 0, 0]))
}

/// Says what frames a tap device may hand over that are not finished (`TUNSETOFFLOAD`, `TUN_F_*`).
pub(crate) fn set_tap_offloads(descriptor: i32, offloads: u64) -> Result<(), Errno> {
    const TUNSETOFFLOAD: u64 = 0x4004_54d0;

    done(call(number::IOCTL, [file(descriptor), TUNSETOFFLOAD, offloads, 0, 0, 0]))
}

/// Gives all privilege up that a program could gain by being executed.
pub(crate) fn renounce_privileges() -> Result<(), Errno> {
    const PR_SET_NO_NEW_PRIVS: u64 = 38;

    done(call(number::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0]))
}

/// Installs a filter of system calls for good.
pub(crate) fn install_filter(instructions: &[Instruction]) -> Result<(), Errno> {
    const SECCOMP_SET_MODE_FILTER: u64 = 1;

    // `struct sock_fprog`: length and address.
    let program = [instructions.len() as u64, address(instructions.as_ptr())];
    done(call(number::SECCOMP, [SECCOMP_SET_MODE_FILTER, 0, address(program.as_ptr()), 0, 0, 0]))
}

/// Ends the process.
pub(crate) fn exit(status: u8) -> ! {
    loop {
        let _: Result<u64, Errno> = call(number::EXIT_GROUP, [u64::from(status), 0, 0, 0, 0, 0]);
    }
}

/// Turns a pointer of the kernel's into a number.
pub(crate) fn number_of(pointer: *const c_void) -> u64 {
    address(pointer)
}

#[cfg(test)]
mod tests;

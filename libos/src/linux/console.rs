//! Open files, of which there are three: the console as standard input, output and error.

use super::errno::{Errno, Outcome};
use super::{gate, user};
use crate::io::{self, Read};
use crate::task;
use abi::PAGE_SIZE;
use alloc::vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use services::clock;
use services::io::console;
use services::machine;

/// Most bytes that one call takes.
const MOST: u64 = 1 << 16;
/// Most pieces of `writev` and `readv` (`UIO_MAXIOV`).
const MOST_PIECES: u64 = 1024;
const PIECE: usize = 512;
const NS_PER_MS: u64 = 1_000_000;

/// `AT_FDCWD` is not needed: no path names a file. `AT_EMPTY_PATH`: the file is the descriptor's own.
const EMPTY_PATH: u64 = 0x1000;
/// `S_IFCHR` and the rights of a terminal.
const TERMINAL_MODE: u32 = 0o020_620;
/// Device number of a terminal (136:0).
const TERMINAL_DEVICE: u64 = 136 << 8;

static IS_OPEN: [AtomicBool; 3] = [const { AtomicBool::new(true) }; 3];

/// `struct pollfd`.
mod poll_event {
    pub(super) const IN: u16 = 1;
    pub(super) const OUT: u16 = 4;
    pub(super) const INVALID: u16 = 0x20;
    /// `POLLRDNORM` and `POLLWRNORM`, which mean the same.
    pub(super) const READ_NORMAL: u16 = 0x40;
    pub(super) const WRITE_NORMAL: u16 = 0x100;
}

/// `read`: waits for what is typed.
pub(super) fn read(descriptor: u64, start: u64, length: u64) -> Outcome {
    check(descriptor)?;
    let length = length.min(MOST);
    user::writable(start, length)?;
    let mut bytes = vec![0; length as usize];
    let count = io::stdin().read(&mut bytes).map_err(|_| Errno::Again)?;
    // Others may have run, and unmapped it.
    user::write(start, &bytes[..count])?;
    Ok(count as u64)
}

/// `write`.
pub(super) fn write(descriptor: u64, start: u64, length: u64) -> Outcome {
    check(descriptor)?;
    let length = length.min(MOST);
    let range = user::readable(start, length)?;
    let mut piece = [0; PIECE];
    for offset in (0..range.length()).step_by(PIECE) {
        let count = PIECE.min(range.length() - offset);
        gate::copy_from(&range, offset, &mut piece[..count]);
        console::write(&piece[..count]);
    }
    // A program gathers its output itself.
    console::flush();
    Ok(length)
}

/// `readv` and `writev`, by the call for one piece. What comes after a piece that is not taken whole stays.
pub(super) fn each_piece(
    descriptor: u64,
    pieces: u64,
    count: u64,
    act: fn(u64, u64, u64) -> Outcome,
) -> Outcome {
    check(descriptor)?;
    if count > MOST_PIECES {
        return Err(Errno::Invalid);
    }
    let mut total = 0;
    for index in 0..count {
        let place = pieces.checked_add(16 * index).ok_or(Errno::BadAddress)?;
        let [start, length] = user::read_words(place)?;
        if length == 0 {
            continue;
        }
        match act(descriptor, start, length) {
            Ok(taken) => {
                total += taken;
                if taken < length {
                    break;
                }
            }
            Err(error) if total == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(total)
}

/// `close`.
pub(super) fn close(descriptor: u64) -> Outcome {
    check(descriptor)?;
    IS_OPEN[descriptor as usize].store(false, Relaxed);
    Ok(0)
}

/// `lseek`.
pub(super) fn seek(descriptor: u64) -> Outcome {
    check(descriptor)?;
    Err(Errno::IllegalSeek)
}

/// `fcntl`: what is asked of descriptors; nothing can be set.
pub(super) fn control(descriptor: u64, command: u64) -> Outcome {
    const GET_FLAGS: u64 = 3;
    const READ_WRITE: u64 = 2;

    check(descriptor)?;
    match command {
        // F_GETFD, F_SETFD, F_SETFL.
        1 | 2 | 4 => Ok(0),
        GET_FLAGS => Ok(READ_WRITE),
        _ => Err(Errno::Invalid),
    }
}

/// `ioctl`: the console is a terminal.
pub(super) fn terminal_control(descriptor: u64, request: u64, argument: u64) -> Outcome {
    const GET_ATTRIBUTES: u64 = 0x5401;
    const GET_WINDOW_SIZE: u64 = 0x5413;

    check(descriptor)?;
    match request & u64::from(u32::MAX) {
        GET_ATTRIBUTES => {
            // `struct termios` of the kernel: input, output, control and local modes, discipline, characters. ICRNL;
            // OPOST, ONLCR; 38400 baud, CS8, CREAD; ICANON, ECHO.
            let mut attributes = [0; 36];
            for (index, mode) in [0o400_u32, 0o5, 0o277, 0o12].into_iter().enumerate() {
                attributes[4 * index..4 * index + 4].copy_from_slice(&mode.to_le_bytes());
            }
            user::write(argument, &attributes)?;
            Ok(0)
        }
        GET_WINDOW_SIZE => {
            let size = [24_u16, 80, 0, 0].map(u16::to_le_bytes);
            user::write(argument, size.as_flattened())?;
            Ok(0)
        }
        _ => Err(Errno::NotATerminal),
    }
}

/// `fstat`.
pub(super) fn status(descriptor: u64, start: u64) -> Outcome {
    check(descriptor)?;
    // `struct stat`: device, node, links, mode and user, group and padding, device of its own, size, block size, blocks,
    // times.
    let mut words = [0; 18];
    words[1] = descriptor + 3;
    words[2] = 1;
    words[3] = u64::from(TERMINAL_MODE);
    words[5] = TERMINAL_DEVICE;
    words[7] = 1024;
    user::write_words(start, &words)?;
    Ok(0)
}

/// `newfstatat`.
pub(super) fn status_at(descriptor: u64, path: u64, start: u64, flags: u64) -> Outcome {
    let path = user::read_path(path)?;
    if path.is_empty() && flags & EMPTY_PATH != 0 { status(descriptor, start) } else { Err(Errno::NoEntry) }
}

/// Calls that name a file by its path: there is none.
pub(super) fn no_file(path: u64) -> Outcome {
    user::read_path(path)?;
    Err(Errno::NoEntry)
}

/// `getcwd`.
pub(super) fn working_directory(start: u64, length: u64) -> Outcome {
    const ROOT: &[u8] = b"/\0";

    if length < ROOT.len() as u64 {
        return Err(Errno::Range);
    }
    user::write(start, ROOT)?;
    Ok(ROOT.len() as u64)
}

/// `poll`; `timeout_ns`: none waits without a limit.
pub(super) fn poll(start: u64, count: u64, timeout_ns: Option<u64>) -> Outcome {
    if count > MOST_PIECES {
        return Err(Errno::Invalid);
    }
    let deadline_ns = timeout_ns.map_or(task::NEVER, |timeout| clock::now_ns().saturating_add(timeout));
    loop {
        let seen = machine::info().event(console::INPUT_EVENT);
        let mut happened = 0;
        for index in 0..count {
            let place = start.checked_add(8 * index).ok_or(Errno::BadAddress)?;
            happened += u64::from(poll_one(place)?);
        }
        if happened > 0 || clock::now_ns() >= deadline_ns {
            return Ok(happened);
        }
        task::wake_at_event(console::INPUT_EVENT, seen, task::current());
        task::block_until(deadline_ns);
    }
}

/// Returns the nanoseconds of a timeout in milliseconds; below zero: none.
pub(super) fn milliseconds(timeout: u64) -> Option<u64> {
    let timeout = (timeout as u32).cast_signed();
    u64::try_from(timeout).ok().map(|timeout| timeout * NS_PER_MS)
}

fn poll_one(place: u64) -> Result<bool, Errno> {
    let watch: [u8; 8] = user::read(place)?;
    let descriptor = i32::from_le_bytes([watch[0], watch[1], watch[2], watch[3]]);
    let wanted = u16::from_le_bytes([watch[4], watch[5]]);
    let happened = match u64::try_from(descriptor) {
        Err(_) => 0,
        Ok(descriptor) if check(descriptor).is_err() => poll_event::INVALID,
        Ok(_) => {
            let input = if io::is_input_ready() { poll_event::IN | poll_event::READ_NORMAL } else { 0 };
            wanted & (input | poll_event::OUT | poll_event::WRITE_NORMAL)
        }
    };
    user::write(place.saturating_add(6), &happened.to_le_bytes())?;
    Ok(happened != 0)
}

fn check(descriptor: u64) -> Result<(), Errno> {
    let descriptor = usize::try_from(descriptor as u32).unwrap_or(usize::MAX);
    let is_open = IS_OPEN.get(descriptor).is_some_and(|is_open| is_open.load(Relaxed));
    if is_open { Ok(()) } else { Err(Errno::BadDescriptor) }
}

const _: () = assert!(MOST as usize >= PAGE_SIZE, "a page is taken at once");

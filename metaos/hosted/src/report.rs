//! How the machine ends: records on the control channel, or a few lines on standard error when nobody reads that.

use crate::console::write_all;
use crate::linux::{self, Errno};
use crate::pages;
use abi::PAGE_SIZE;
use abi::control::{
    CrashHeader, CrashKind, MAGIC, MAX_STACK_BYTES, MAX_TEXT_BYTES, REQUEST_STOP, RecordHeader,
    STATUS_CRASHED, record,
};
use abi::hosted::descriptor;
use abi::upcall::Registers;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages above the stack pointer that are searched for the first mapped one: a stack that ran into its guard.
const GUARD_SEARCH_PAGES: u64 = 32;

/// Somebody reads the control channel.
static HAS_CONTROL: AtomicBool = AtomicBool::new(false);

/// Says whether somebody reads the control channel, and announces the machine to him.
pub(crate) fn begin(has_control: bool) {
    HAS_CONTROL.store(has_control, Relaxed);
    write_header(record::READY, 0);
}

/// Tells whether requests may come in.
pub(crate) fn is_watched() -> bool {
    HAS_CONTROL.load(Relaxed)
}

/// Reads a request, and tells whether it is that to stop. A machine whose runner is gone ends.
pub(crate) fn take_request() -> bool {
    let mut byte = [0];
    match linux::read(descriptor::CONTROL, &mut byte) {
        Ok(1) => byte[0] == REQUEST_STOP,
        Err(Errno::AGAIN | Errno::INTERRUPTED) => false,
        Ok(_) | Err(_) => linux::exit(STATUS_CRASHED),
    }
}

/// Ends the machine with an exit status.
pub(crate) fn exit(status: u8) -> ! {
    write_header(record::EXIT, 1);
    write_control(&[status]);
    linux::exit(status)
}

/// Ends the machine with a report. The registers are those of the active upcall, else `here`.
pub(crate) fn crash(kind: CrashKind, text: &str, here: &Registers) -> ! {
    let block = pages::block();
    let is_upcall = block.upcall_active.load(Relaxed) != 0;
    let registers = if is_upcall { block.load_registers() } else { *here };
    let of_upcall = |word: u64| if is_upcall { word } else { 0 };
    let header = CrashHeader {
        kind: kind as u32,
        vector: of_upcall(block.vector.load(Relaxed)) as u32,
        error_code: of_upcall(block.error_code.load(Relaxed)),
        address: of_upcall(block.address.load(Relaxed)),
        registers,
        ..CrashHeader::default()
    };
    send(header, &text.as_bytes()[..text.len().min(MAX_TEXT_BYTES)])
}

/// Ends the machine with a report on a fault of which there was no telling the guest.
pub(crate) fn crash_by_fault(header: CrashHeader) -> ! {
    send(header, b"")
}

/// Says on standard error why there is no machine.
pub(crate) fn complain(words: &str, number: i32) {
    let mut line = Line::new();
    match number {
        0 => line.push(format_args!("metaos: {words}\n")),
        _ => line.push(format_args!("metaos: {words} (error {number})\n")),
    }
    write_all(descriptor::ERROR, line.bytes());
}

fn send(mut header: CrashHeader, text: &[u8]) -> ! {
    if HAS_CONTROL.load(Relaxed) {
        let (start, length) = stack(header.registers.rsp);
        header.stack_start = start;
        header.stack_length = length as u32;
        header.text_length = text.len() as u32;
        write_header(record::CRASH, size_of::<CrashHeader>() + text.len() + length as usize);
        write_control(bytes_of(&header));
        write_control(text);
        write_stack(start, length);
    } else {
        print(&header, text);
    }
    linux::exit(STATUS_CRASHED)
}

fn print(header: &CrashHeader, text: &[u8]) {
    let CrashHeader { kind, vector, error_code, address, registers, .. } = header;
    let mut line = Line::new();
    line.push(format_args!(
        "\ncrash {kind} vector {vector} error {error_code:#x} address {address:#x} rip {:#x} rsp {:#x}\n\
         start the program with `cargo metaos run` for a backtrace\n",
        registers.rip, registers.rsp
    ));
    write_all(descriptor::ERROR, b"\nmetaos: ");
    write_all(descriptor::ERROR, text);
    write_all(descriptor::ERROR, line.bytes());
}

/// Returns the mapped part of a stack from the stack pointer up, or from the first mapped page above it: start and bytes.
fn stack(stack_pointer: u64) -> (u64, u64) {
    let page = stack_pointer & !(PAGE - 1);
    let above = (1..=GUARD_SEARCH_PAGES).map(|pages| page.saturating_add(pages * PAGE));
    let start = if linux::is_mapped(page, PAGE) {
        Some(stack_pointer)
    } else {
        above.into_iter().find(|at| linux::is_mapped(*at, PAGE))
    };
    let Some(start) = start else { return (stack_pointer, 0) };
    let limit = start.saturating_add(MAX_STACK_BYTES as u64);
    let mut end = (start & !(PAGE - 1)) + PAGE;
    while end < limit && linux::is_mapped(end, PAGE) {
        end += PAGE;
    }
    (start, end.min(limit) - start)
}

fn write_stack(start: u64, length: u64) {
    let mut done = 0;
    while done < length {
        match linux::write_memory(descriptor::CONTROL, start + done, length - done) {
            Ok(count) if count > 0 => done += count as u64,
            Err(Errno::INTERRUPTED) => {}
            // The header has promised the bytes.
            Ok(_) | Err(_) => {
                write_control(&[0]);
                done += 1;
            }
        }
    }
}

fn write_header(kind: u32, length: usize) {
    write_control(bytes_of(&RecordHeader { magic: MAGIC, kind, length: length as u32, reserved: 0 }));
}

fn write_control(bytes: &[u8]) {
    if HAS_CONTROL.load(Relaxed) {
        write_all(descriptor::CONTROL, bytes);
    }
}

fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: called with the contract's headers only, which are integers without padding.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A line of text of fixed size.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; 256], length: 0 }
    }

    /// Appends; what does not fit is cut off.
    fn push(&mut self, arguments: fmt::Arguments<'_>) {
        // Nothing that is printed here fails.
        let _: fmt::Result = self.write_fmt(arguments);
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fitting = text.len().min(self.bytes.len() - self.length);
        self.bytes[self.length..self.length + fitting].copy_from_slice(&text.as_bytes()[..fitting]);
        self.length += fitting;
        Ok(())
    }
}

//! Crash reports: a record on the control channel, or a few lines on the console when nobody reads that. And the exit
//! status, which goes the same way.
//!
//! Written to ports only, with nothing allocated, so that it works from any state of the nucleus. Reading the guest's
//! stack needs the page tables; should they be in use (a defect of the nucleus), the report goes out without it.

use crate::serial::{CONSOLE, CONTROL, SerialPort};
use crate::{layout, memory::Memory, privileged, state, trap::TrapFrame, user::UserSlice};
use abi::control::{
    CrashHeader, CrashKind, MAGIC, MAX_STACK_BYTES, MAX_TEXT_BYTES, RecordHeader, STATUS_CRASHED, record,
};
use abi::layout::{NUCLEUS, NUCLEUS_END};
use abi::{Error, PAGE_SIZE, VirtAddr};
use core::fmt::{self, Write};
use core::{iter, panic::PanicInfo, ptr, slice};
use heapless::Vec;

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages above the stack pointer that are searched for the first mapped one: a stack that ran into its guard.
const GUARD_SEARCH_PAGES: u64 = 32;
/// Port of QEMU's `isa-debug-exit` as the runner sets it up.
const DEBUG_EXIT: u16 = 0xf4;

/// Ends the machine with an exit status.
pub(crate) fn exit(status: u8) -> ! {
    write_header(record::EXIT, 1);
    CONTROL.write(&[status]);
    off(status)
}

/// Tells the runner that console input is taken from now on.
pub(crate) fn ready() {
    write_header(record::READY, 0);
}

/// Ends the machine because it cannot run the image; `why` says what to do.
pub(crate) fn refuse(why: &str) -> ! {
    Crash::new(CrashKind::NucleusPanic, &TrapFrame::default(), &why).send(0, || {})
}

/// Returns what was achieved of the guest's start, or ends the machine because it cannot run the image.
pub(crate) fn expect<T>(outcome: Result<T, Error>) -> T {
    outcome.unwrap_or_else(|error| match error {
        Error::OutOfMemory | Error::OutOfTables => refuse("too little memory: give the machine more (-m)"),
        _ => refuse("a segment of the image is not where or what it may be: link the image again"),
    })
}

/// Ends the machine after a panic in ring 0.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    Crash::new(CrashKind::NucleusPanic, &here(), info).send_from_ring_0()
}

/// A report on its way.
pub(crate) struct Crash {
    header: CrashHeader,
    text: Vec<u8, MAX_TEXT_BYTES>,
}

impl Crash {
    /// Starts a report on a trap. Of the text, what does not fit is cut.
    pub(crate) fn new(kind: CrashKind, frame: &TrapFrame, text: &dyn fmt::Display) -> Self {
        let mut crash = Self { header: CrashHeader::default(), text: Vec::new() };
        crash.header.kind = kind as u32;
        crash.header.vector = frame.vector as u32;
        crash.header.error_code = frame.error_code;
        crash.header.address = frame.fault_address();
        crash.header.registers = frame.registers;
        crash.header.stack_start = frame.registers.rsp;
        write!(crash.text, "{text}").ok();
        crash
    }

    /// Adds text that the guest wrote, as much as fits.
    pub(crate) fn add_text(&mut self, memory: &Memory, start: u64, length: u64) {
        match UserSlice::readable(memory, start, length.min(MAX_TEXT_BYTES as u64)) {
            Ok(text) => text.for_each_piece(|piece| _ = self.text.extend_from_slice(piece)),
            Err(_) => _ = self.text.write_str("(the text of the report lies at a bad address)"),
        }
    }

    /// Sends the report with the stack of ring 3 and ends the machine.
    pub(crate) fn send_from_ring_3(mut self) -> ! {
        state::with(|nucleus| {
            if let Some(stack) = guest_stack(&nucleus.memory, self.header.stack_start) {
                self.header.stack_start = stack.start;
                self.send(stack.length, || stack.for_each_piece(|piece| CONTROL.write(piece)));
            }
        });
        self.send(0, || {})
    }

    /// Sends the report with the nucleus's own stack and ends the machine.
    pub(crate) fn send_from_ring_0(mut self) -> ! {
        let start = self.header.stack_start;
        let length = (nucleus_stack_end(start) - start).min(MAX_STACK_BYTES as u64) as usize;
        // SAFETY: the range lies on one of the nucleus's own mapped stacks, or is empty; only the part above the stack
        // pointer is read, which the running code does not change; any bytes are valid.
        let stack = unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(start as usize), length) };
        self.send(length, || CONTROL.write(stack))
    }

    fn send(&mut self, stack_length: usize, write_stack: impl FnOnce()) -> ! {
        self.header.stack_length = stack_length as u32;
        self.header.text_length = self.text.len() as u32;
        if CONTROL.is_there() {
            write_header(record::CRASH, size_of::<CrashHeader>() + self.text.len() + stack_length);
            CONTROL.write(bytes_of(&self.header));
            CONTROL.write(&self.text);
            write_stack();
        } else {
            self.print();
        }
        off(STATUS_CRASHED)
    }

    fn print(&mut self) {
        let CrashHeader { kind, vector, error_code, address, registers, .. } = self.header;
        let (rip, rsp) = (registers.rip, registers.rsp);
        write!(self.text, "\ncrash {kind} vector {vector} error {error_code:#x} address {address:#x}").ok();
        writeln!(self.text, " rip {rip:#x} rsp {rsp:#x}").ok();
        CONSOLE.write(b"\nmetaos: ");
        CONSOLE.write(&self.text);
    }
}

/// Ends the machine: QEMU leaves, with what its own status can show of `status`; anything else stops for ever.
fn off(status: u8) -> ! {
    [&CONSOLE, &CONTROL].into_iter().for_each(SerialPort::finish);
    privileged::port_write(DEBUG_EXIT, status);
    privileged::halt()
}

fn write_header(kind: u32, length: usize) {
    CONTROL.write(bytes_of(&RecordHeader { magic: MAGIC, kind, length: length as u32, reserved: 0 }));
}

fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: called with the contract's headers only, which are integers without padding.
    unsafe { slice::from_raw_parts(ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Returns the mapped part of a guest's stack from `stack_pointer` up, or from the first mapped page above it if it
/// stands in a guard.
fn guest_stack(memory: &Memory, stack_pointer: u64) -> Option<UserSlice<'_>> {
    let is_mapped = |at: &u64| UserSlice::readable(memory, *at, 1).is_ok();
    let page = VirtAddr(stack_pointer).page_start().0;
    let above = (1..=GUARD_SEARCH_PAGES).map(|pages| page.saturating_add(pages * PAGE));
    let start = iter::once(stack_pointer).chain(above).find(is_mapped)?;
    let limit = start + MAX_STACK_BYTES as u64;
    let mut pages = (VirtAddr(start).page_start().0..limit).step_by(PAGE_SIZE);
    let end = pages.find(|page| !is_mapped(page)).unwrap_or(limit);
    UserSlice::readable(memory, start, end - start).ok()
}

/// Returns the end of the nucleus's stack that holds `address`; `address` itself if none does.
fn nucleus_stack_end(address: u64) -> u64 {
    let own = layout::stacks().find(|stack| stack.contains(&address));
    // The boot stack lies in the nucleus's data; what is above it is mapped to the end of the page at least.
    let is_boot = (NUCLEUS.0..NUCLEUS_END.0).contains(&address);
    let boot_end = if is_boot { VirtAddr(address).page_start().0 + PAGE } else { address };
    own.map_or(boot_end, |stack| stack.end)
}

/// Returns the registers that a backtrace of this place needs, as if it had trapped.
#[inline(always)]
fn here() -> TrapFrame {
    let mut frame = TrapFrame::default();
    let registers = &mut frame.registers;
    // SAFETY: reads registers only.
    unsafe {
        core::arch::asm!(
            "lea {rip}, [rip]; mov {rsp}, rsp; mov {rbp}, rbp; mov {rbx}, rbx",
            rip = out(reg) registers.rip, rsp = out(reg) registers.rsp,
            rbp = out(reg) registers.rbp, rbx = out(reg) registers.rbx,
            options(nomem, nostack, preserves_flags),
        );
    }
    frame
}

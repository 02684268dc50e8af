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
use abi::{PAGE_SIZE, VirtAddr, upcall::Registers};
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
    Crash::new(CrashKind::NucleusPanic, Registers::default(), format_args!("{why}")).send(0, || {})
}

/// Ends the machine after a panic in ring 0.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    Crash::new(CrashKind::NucleusPanic, here(), format_args!("{info}")).send_with_nucleus_stack()
}

/// Ends the machine after an exception in ring 0.
pub(crate) fn nucleus_fault(frame: &TrapFrame, address: u64) -> ! {
    Crash::of_trap(CrashKind::NucleusFault, frame, address, "").send_with_nucleus_stack()
}

/// Ends the machine after something in ring 3 that has no way on.
pub(crate) fn guest_crash(kind: CrashKind, frame: &TrapFrame, address: u64, text: &str) -> ! {
    let mut crash = Crash::of_trap(kind, frame, address, text);
    state::with(|nucleus| crash.send_with_guest_stack(&nucleus.memory));
    crash.send(0, || {})
}

/// A report on its way.
pub(crate) struct Crash {
    header: CrashHeader,
    text: Vec<u8, MAX_TEXT_BYTES>,
}

impl Crash {
    /// Starts a report. Of the text, what does not fit is cut.
    pub(crate) fn new(kind: CrashKind, registers: Registers, text: fmt::Arguments<'_>) -> Self {
        let stack_start = registers.rsp;
        let header = CrashHeader { kind: kind as u32, registers, stack_start, ..CrashHeader::default() };
        let mut crash = Self { header, text: Vec::new() };
        crash.write_fmt(text).ok();
        crash
    }

    fn of_trap(kind: CrashKind, frame: &TrapFrame, address: u64, text: &str) -> Self {
        let mut crash = Self::new(kind, frame.registers, format_args!("{text}"));
        crash.exception(frame.vector, frame.error_code, address);
        crash
    }

    /// Adds what the CPU said of an exception.
    pub(crate) fn exception(&mut self, vector: u64, error_code: u64, address: u64) {
        self.header.vector = vector as u32;
        self.header.error_code = error_code;
        self.header.address = address;
    }

    /// Sends the report with the stack of ring 3 and ends the machine.
    pub(crate) fn send_with_guest_stack(&mut self, memory: &Memory) -> ! {
        let Some((start, stack)) = guest_stack(memory, self.header.registers.rsp) else {
            self.send(0, || {})
        };
        self.header.stack_start = start;
        self.send(stack.length, || stack.for_each_piece(|piece| CONTROL.write(piece)))
    }

    fn send_with_nucleus_stack(&mut self) -> ! {
        let start = self.header.registers.rsp;
        let end = nucleus_stack_end(start).unwrap_or(start);
        let length = ((end - start) as usize).min(MAX_STACK_BYTES);
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

    fn print(&self) {
        let (header, registers) = (&self.header, &self.header.registers);
        let text = str::from_utf8(&self.text).unwrap_or("");
        // Writing to the console never fails.
        writeln!(
            &CONSOLE,
            "\nmetaos: crash {}: {text}\nvector {} error {:#x} address {:#x} rip {:#x} rsp {:#x}",
            header.kind, header.vector, header.error_code, header.address, registers.rip, registers.rsp,
        )
        .ok();
    }

    /// Adds text, as much as fits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.text.capacity() - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]).ok();
    }
}

impl Write for Crash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
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
/// stands in a guard; and where that starts.
fn guest_stack(memory: &Memory, stack_pointer: u64) -> Option<(u64, UserSlice<'_>)> {
    let is_mapped = |at: &u64| UserSlice::readable(memory, *at, 1).is_ok();
    let page = VirtAddr(stack_pointer).page_start().0;
    let above = (1..=GUARD_SEARCH_PAGES).map(|pages| page.saturating_add(pages * PAGE));
    let start = iter::once(stack_pointer).chain(above).find(is_mapped)?;
    let limit = start + MAX_STACK_BYTES as u64;
    let mut pages = (VirtAddr(start).page_start().0..limit).step_by(PAGE_SIZE);
    let end = pages.find(|page| !is_mapped(page)).unwrap_or(limit);
    Some((start, UserSlice::readable(memory, start, end - start).ok()?))
}

/// Returns the end of the nucleus's stack that holds `address`.
fn nucleus_stack_end(address: u64) -> Option<u64> {
    let mut stacks =
        (0..layout::STACK_COUNT).map(|index| layout::stack_bottom(index)..layout::stack_top(index));
    let own = stacks.find(|stack| stack.contains(&address)).map(|stack| stack.end);
    // The boot stack lies in the nucleus's data; what is above it is mapped to the end of the page at least.
    let boot = (NUCLEUS.0..NUCLEUS_END.0).contains(&address);
    own.or(boot.then(|| VirtAddr(address).page_start().0 + PAGE))
}

/// Returns the registers that a backtrace of this place needs.
#[inline(always)]
fn here() -> Registers {
    let (rip, rsp, rbp, rbx): (u64, u64, u64, u64);
    // SAFETY: reads registers only.
    unsafe {
        core::arch::asm!(
            "lea {rip}, [rip]; mov {rsp}, rsp; mov {rbp}, rbp; mov {rbx}, rbx",
            rip = out(reg) rip, rsp = out(reg) rsp, rbp = out(reg) rbp, rbx = out(reg) rbx,
            options(nomem, nostack, preserves_flags),
        );
    }
    Registers { rip, rsp, rbp, rbx, ..Registers::default() }
}

//! Crash reports: a record on the control channel, or a few lines on the console when nobody reads that.
//!
//! Written to ports only, with nothing allocated, so that it works from any state of the nucleus. Reading the guest's
//! stack needs the page tables; should they be in use (a defect of the nucleus), the report goes out without it.

use crate::memory::Memory;
use crate::memory::entry::{PRESENT, USER};
use crate::trap::TrapFrame;
use crate::user::UserSlice;
use crate::{layout, power, serial, state};
use abi::control::{CrashHeader, CrashKind, MAGIC, MAX_STACK_BYTES, MAX_TEXT_BYTES, RecordHeader, record};
use abi::layout::{NUCLEUS, STACKS_END};
use abi::upcall::Registers;
use abi::{PAGE_SIZE, VirtAddr};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::{ptr, slice};

/// Pages above the stack pointer that are searched for the first mapped one: a stack that ran into its guard.
const GUARD_SEARCH_PAGES: u64 = 32;

static HAS_CONTROL_CHANNEL: AtomicBool = AtomicBool::new(false);

/// Says that a runner reads the control channel.
pub fn use_control_channel() {
    HAS_CONTROL_CHANNEL.store(true, Relaxed);
}

/// Ends the machine with an exit status.
pub fn exit(status: u8) -> ! {
    if HAS_CONTROL_CHANNEL.load(Relaxed) {
        write_record(record::EXIT, &[&[status]]);
    }
    power::off()
}

/// Ends the machine because it cannot run the image; `why` says what to do.
pub fn refuse(why: &str) -> ! {
    let mut crash = Crash::new(CrashKind::NucleusPanic, Registers::default());
    crash.text(format_args!("{why}"));
    crash.send(&[])
}

/// Ends the machine after a panic in ring 0.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    let mut crash = Crash::new(CrashKind::NucleusPanic, here());
    crash.text(format_args!("{info}"));
    crash.send_with_nucleus_stack()
}

/// Ends the machine after an exception in ring 0.
pub fn nucleus_fault(frame: &TrapFrame, address: u64) -> ! {
    let mut crash = Crash::new(CrashKind::NucleusFault, frame.registers());
    crash.fault(frame, address);
    crash.send_with_nucleus_stack()
}

/// Ends the machine after something in ring 3 that has no way on.
pub fn guest_crash(kind: CrashKind, frame: &TrapFrame, address: u64, text: &str) -> ! {
    let mut crash = Crash::new(kind, frame.registers());
    crash.fault(frame, address);
    crash.text(format_args!("{text}"));
    state::with(|nucleus| crash.send_with_guest_stack(&nucleus.memory));
    crash.send(&[])
}

/// A report on its way.
#[derive(Debug)]
pub struct Crash {
    header: CrashHeader,
    text: Text,
}

/// Text of a report; what does not fit is cut.
#[derive(Debug)]
struct Text {
    bytes: [u8; MAX_TEXT_BYTES],
    length: usize,
}

impl Crash {
    /// Starts a report.
    #[must_use]
    pub fn new(kind: CrashKind, registers: Registers) -> Self {
        let header = CrashHeader { kind: kind as u32, registers, ..CrashHeader::default() };
        Self { header, text: Text { bytes: [0; MAX_TEXT_BYTES], length: 0 } }
    }

    /// Adds what the CPU said of an exception.
    pub fn exception(&mut self, vector: u64, error_code: u64, address: u64) {
        self.header.vector = vector as u32;
        self.header.error_code = error_code;
        self.header.address = address;
    }

    /// Adds text.
    pub fn text(&mut self, arguments: fmt::Arguments<'_>) {
        // Writing to `Text` never fails; what does not fit is cut.
        let _ = self.text.write_fmt(arguments);
    }

    /// Adds text of ring 3, as much as fits.
    pub fn user_text(&mut self, text: &UserSlice<'_>) {
        self.text.length = text.read_at(0, &mut self.text.bytes);
    }

    /// Sends the report with the stack of ring 3 and ends the machine.
    pub fn send_with_guest_stack(&mut self, memory: &Memory) -> ! {
        let start = first_mapped(memory, self.header.registers.rsp);
        let bytes = mapped_bytes(memory, start);
        self.header.stack_start = start;
        match UserSlice::readable(memory, start, bytes) {
            Ok(stack) if bytes > 0 => self.send_streamed(&stack),
            _ => self.send(&[]),
        }
    }

    fn fault(&mut self, frame: &TrapFrame, address: u64) {
        self.exception(frame.vector, frame.error_code, address);
    }

    fn send_with_nucleus_stack(&mut self) -> ! {
        let start = self.header.registers.rsp;
        let Some(end) = nucleus_stack_end(start) else { self.send(&[]) };
        self.header.stack_start = start;
        let length = ((end - start) as usize).min(MAX_STACK_BYTES);
        // SAFETY: the range lies on one of the nucleus's own mapped stacks; only the part above the stack pointer is
        // read, which the running code does not change; any bytes are valid.
        let stack = unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(start as usize), length) };
        self.send(stack)
    }

    fn send_streamed(&mut self, stack: &UserSlice<'_>) -> ! {
        if HAS_CONTROL_CHANNEL.load(Relaxed) {
            self.header.stack_length = stack.length() as u32;
            let text = self.text.as_bytes();
            self.header.text_length = text.len() as u32;
            write_header(record::CRASH, size_of::<CrashHeader>() + text.len() + stack.length());
            serial::write(serial::CONTROL, bytes_of(&self.header));
            serial::write(serial::CONTROL, text);
            stack.for_each_piece(|piece| serial::write(serial::CONTROL, piece));
            power::off();
        }
        self.send(&[])
    }

    fn send(&mut self, stack: &[u8]) -> ! {
        self.header.stack_length = stack.len() as u32;
        self.header.text_length = self.text.length as u32;
        if HAS_CONTROL_CHANNEL.load(Relaxed) {
            write_record(record::CRASH, &[bytes_of(&self.header), self.text.as_bytes(), stack]);
        } else {
            self.print();
        }
        power::off()
    }

    fn print(&self) {
        let (header, registers) = (&self.header, &self.header.registers);
        let text = core::str::from_utf8(self.text.as_bytes()).unwrap_or("");
        // Writing to the console never fails.
        let _ = writeln!(
            Console,
            "\nmetaos: crash {}: {text}\nvector {} error {:#x} address {:#x} rip {:#x} rsp {:#x}",
            header.kind, header.vector, header.error_code, header.address, registers.rip, registers.rsp,
        );
    }
}

impl Text {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// The console, for text of the nucleus itself.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        serial::write(serial::CONSOLE, text.as_bytes());
        Ok(())
    }
}

fn write_record(kind: u32, parts: &[&[u8]]) {
    write_header(kind, parts.iter().map(|part| part.len()).sum());
    for part in parts {
        serial::write(serial::CONTROL, part);
    }
}

fn write_header(kind: u32, length: usize) {
    let header = RecordHeader { magic: MAGIC, kind, length: length as u32, reserved: 0 };
    serial::write(serial::CONTROL, bytes_of(&header));
}

fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: called with the contract's headers only, which are integers without padding.
    unsafe { slice::from_raw_parts(ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Returns `stack_pointer`, or the first mapped page above it if it stands in a guard.
fn first_mapped(memory: &Memory, stack_pointer: u64) -> u64 {
    if is_user_page(memory, stack_pointer) {
        return stack_pointer;
    }
    let page = VirtAddr(stack_pointer).page_start().0;
    let above = (1..=GUARD_SEARCH_PAGES).map(|pages| page.saturating_add(pages * PAGE_SIZE as u64));
    above.into_iter().find(|&page| is_user_page(memory, page)).unwrap_or(stack_pointer)
}

/// Returns how many bytes from `start` on are mapped, up to the most that a record carries.
fn mapped_bytes(memory: &Memory, start: u64) -> u64 {
    let mut end = start;
    while end - start < MAX_STACK_BYTES as u64 && is_user_page(memory, end) {
        end = VirtAddr(end).page_start().0 + PAGE_SIZE as u64;
    }
    (end - start).min(MAX_STACK_BYTES as u64)
}

fn is_user_page(memory: &Memory, address: u64) -> bool {
    // What lies beyond the stacks is no stack, and below the top of the lower half additions cannot overflow.
    address < abi::layout::USER_END.0.max(STACKS_END.0) && memory.tables.walk(address).0.has(PRESENT | USER)
}

/// Returns the end of the nucleus's stack that holds `address`.
fn nucleus_stack_end(address: u64) -> Option<u64> {
    let stacks =
        (0..layout::STACK_COUNT).map(|index| (layout::stack_bottom(index), layout::stack_top(index)));
    let own = stacks.into_iter().find(|(bottom, top)| (*bottom..*top).contains(&address));
    // The boot stack lies in the nucleus's data; what is above it is mapped to the end of the page at least.
    let boot = (NUCLEUS.0..NUCLEUS.0 + (2 << 20)).contains(&address);
    own.map(|(_, top)| top).or(boot.then(|| VirtAddr(address).page_start().0 + PAGE_SIZE as u64))
}

/// Returns the registers that a backtrace of this place needs.
#[inline(always)]
fn here() -> Registers {
    let (rip, rsp, rbp, rbx): (u64, u64, u64, u64);
    // SAFETY: reads registers only.
    unsafe {
        core::arch::asm!(
            "lea {rip}, [rip]",
            "mov {rsp}, rsp",
            "mov {rbp}, rbp",
            "mov {rbx}, rbx",
            rip = out(reg) rip, rsp = out(reg) rsp, rbp = out(reg) rbp, rbx = out(reg) rbx,
            options(nomem, nostack, preserves_flags),
        );
    }
    Registers { rip, rsp, rbp, rbx, ..Registers::default() }
}

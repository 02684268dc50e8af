//! What happened, in words.
//!
//! The CPU says a vector, an error code and an address; the ELF files say what lies there. Where the guest knows
//! more (the name of a thread, a panic's message), it says so in the record's text, and its words count.

use abi::control::CrashKind;
use abi::layout;
use abi::upcall::VECTOR_SYSCALL;

use super::instruction::{self, Crime};
use super::place::Place;
use super::symbols::Programs;
use super::system_call;
use crate::control::CrashRecord;

/// Bits of a page fault's error code (SDM 3A 4.7).
const PROTECTION: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const RESERVED: u64 = 1 << 3;
const FETCH: u64 = 1 << 4;
const KEY: u64 = 1 << 5;

/// Exception vectors (SDM 3A table 6-1).
const UNDEFINED: u32 = 6;
const STACK: u32 = 12;
const PROTECTION_FAULT: u32 = 13;
const PAGE_FAULT: u32 = 14;
/// No exception, but reported as one that a handler of upcalls ran into.
#[expect(clippy::cast_possible_truncation, reason = "the number is small")]
const SYSTEM_CALL: u32 = VECTOR_SYSCALL as u32;

/// How far below the stack pointer a push or a probe of the next page may reach.
const PROBE_DISTANCE: u64 = 64 << 10;

/// Says what happened, in one line without a stop.
pub(super) fn headline(crash: &CrashRecord, programs: &Programs) -> String {
    let text = crash.text.trim();
    match crash.kind {
        Some(CrashKind::Fault) => fault(crash, programs),
        Some(CrashKind::Panic) => with_text("panic", text),
        Some(CrashKind::OutOfMemory) => with_text("out of memory; give the machine more with -m", text),
        Some(CrashKind::StackOverflow) if text.starts_with("stack overflow") => text.to_owned(),
        Some(CrashKind::StackOverflow) if text.is_empty() => "stack overflow".to_owned(),
        Some(CrashKind::StackOverflow) => format!("stack overflow in {text}"),
        Some(CrashKind::NucleusFault) => format!("defect of the nucleus: {}", fault(crash, programs)),
        Some(CrashKind::NucleusPanic) => with_text("the nucleus cannot go on", text),
        Some(CrashKind::FaultInUpcall) => format!("{}, while an upcall was active", fault(crash, programs)),
        Some(CrashKind::BadContext) => {
            with_text("return from an upcall with registers ring 3 must not have", text)
        }
        Some(CrashKind::ForeignSyscall) => system_call::headline(crash, programs),
        None => with_text("a crash of a kind this runner does not know; is it as new as the image?", text),
    }
}

/// Says what the CPU said, where it said anything.
pub(super) fn exception(crash: &CrashRecord) -> Option<String> {
    let is_fault = matches!(
        crash.kind,
        None | Some(
            CrashKind::Fault | CrashKind::NucleusFault | CrashKind::FaultInUpcall | CrashKind::StackOverflow
        )
    );
    if !is_fault || crash.vector == SYSTEM_CALL {
        return None;
    }
    let name = exception_name(crash.vector);
    Some(match crash.vector {
        PAGE_FAULT => format!(
            "{name} at {:#x}, error code {:#x} ({})",
            crash.address,
            crash.error_code,
            page_fault_bits(crash.error_code)
        ),
        _ => format!("{name}, error code {:#x}", crash.error_code),
    })
}

fn with_text(what: &str, text: &str) -> String {
    if text.is_empty() { what.to_owned() } else { format!("{what}: {text}") }
}

fn fault(crash: &CrashRecord, programs: &Programs) -> String {
    match crash.vector {
        PAGE_FAULT => page_fault(crash, programs),
        PROTECTION_FAULT | STACK => protection_fault(crash, programs),
        UNDEFINED => undefined_instruction(crash, programs),
        vector => format!("{} in {}", exception_name(vector), Place::of(crash.registers.rip, programs)),
    }
}

fn page_fault(crash: &CrashRecord, programs: &Programs) -> String {
    let (code, address) = (crash.error_code, crash.address);
    let place = Place::of(address, programs);
    if is_stack_overflow(crash) {
        return format!("stack overflow (access to {address:#x}, below the stack)");
    }
    let action = action(code);
    let is_user = code & USER != 0;
    // Linux maps a process's image when it is touched, so that the CPU may find pages of it missing.
    let is_absent = code & PROTECTION == 0 && !matches!(place, Place::Image { .. });
    match place {
        Place::Null if code & FETCH != 0 => format!("null pointer called (jump to {address:#x})"),
        Place::Null => format!("null pointer {action} at {address:#x}"),
        _ if code & RESERVED != 0 => format!("{action} through a damaged page table at {address:#x}"),
        _ if code & KEY != 0 => format!("{action} denied by a protection key at {address:#x}, in {place}"),
        _ if is_user && place.is_nucleus() => {
            format!("{action} {} the nucleus at {address:#x}", preposition(code))
        }
        _ if is_absent => {
            format!("{action} {} address that is not mapped: {address:#x}, in {place}", preposition(code))
        }
        _ if code & FETCH != 0 => format!("jump to page that is not executable: {address:#x}, in {place}"),
        Place::Image { .. } => format!("{action} {} {place} at {address:#x}", preposition(code)),
        _ => format!("{action} {} protected page in {place} at {address:#x}", preposition(code)),
    }
}

/// The guest says so itself when it can; here is what the registers show when it cannot.
fn is_stack_overflow(crash: &CrashRecord) -> bool {
    let (address, rsp) = (crash.address, crash.registers.rsp);
    let is_in_stacks = (layout::STACKS.0..layout::STACKS_END.0).contains(&address);
    is_in_stacks && crash.error_code & (PROTECTION | FETCH) == 0 && address.abs_diff(rsp) < PROBE_DISTANCE
}

fn action(code: u64) -> &'static str {
    if code & FETCH != 0 {
        "jump"
    } else if code & WRITE != 0 {
        "write"
    } else {
        "read"
    }
}

fn preposition(code: u64) -> &'static str {
    if code & (FETCH | WRITE) != 0 { "to" } else { "of" }
}

fn protection_fault(crash: &CrashRecord, programs: &Programs) -> String {
    let rip = crash.registers.rip;
    let Some(instruction) = instruction::at(rip, programs) else {
        return format!("{} at {rip:#x}, in {}", exception_name(crash.vector), Place::of(rip, programs));
    };
    let text = instruction::text(&instruction);
    match instruction::crime(&instruction, &crash.registers) {
        Crime::Privileged => format!("privileged instruction `{text}`"),
        Crime::KeptByUmip => format!("instruction `{text}`, which UMIP keeps from ring 3"),
        Crime::SoftwareInterrupt => format!("software interrupt `{text}`"),
        // The error code is the selector (SDM 3A 6.13).
        Crime::Unknown if crash.error_code != 0 => {
            format!("segment {:#x}, which ring 3 must not load, by `{text}`", crash.error_code)
        }
        Crime::NonCanonical(address) => format!("access to {address:#x}, an address no CPU has, by `{text}`"),
        Crime::Misaligned(address) => {
            format!("access to {address:#x}, which is not 16-byte aligned, by `{text}`")
        }
        Crime::Unknown => format!("{} at `{text}`", exception_name(crash.vector)),
    }
}

fn undefined_instruction(crash: &CrashRecord, programs: &Programs) -> String {
    let rip = crash.registers.rip;
    match instruction::at(rip, programs).map(|instruction| instruction::text(&instruction)) {
        Some(text) if text == "ud2" => "abort (`ud2`)".to_owned(),
        Some(text) => format!("instruction that this CPU does not have, or that is switched off: `{text}`"),
        None => format!("bytes that are no instruction at {rip:#x}, in {}", Place::of(rip, programs)),
    }
}

fn page_fault_bits(code: u64) -> String {
    let bits = [
        if code & PROTECTION == 0 { "not mapped" } else { "protection" },
        action(code),
        if code & USER == 0 { "ring 0" } else { "ring 3" },
    ];
    bits.join(", ")
}

fn exception_name(vector: u32) -> &'static str {
    match vector {
        0 => "division error",
        1 => "debug exception",
        2 => "non-maskable interrupt",
        3 => "breakpoint `int3`",
        4 => "overflow",
        5 => "bound range exceeded",
        6 => "undefined instruction",
        7 => "floating-point unit not available",
        8 => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack segment fault",
        13 => "general protection fault",
        14 => "page fault",
        16 => "x87 floating-point exception",
        17 => "alignment check",
        18 => "machine check",
        19 => "SSE floating-point exception",
        20 => "virtualization exception",
        21 => "control protection exception",
        SYSTEM_CALL => "`syscall` outside the gate",
        _ => "exception of an unknown vector",
    }
}

#[cfg(test)]
mod tests;

//! Looks through machine code for instructions that may not be there.
//!
//! A guest runs in ring 3, where most of these would only fault; the scan tells at build time, with the function's
//! name, what would otherwise be a crash report. It finds mistakes, not malice: code can still be entered in the
//! middle of an instruction. VEX-coded instructions are refused in ring 0 and ring 3 because a call keeps only the
//! lower half of the vector registers.
//!
//! Decoding starts anew at every symbol.

use iced_x86::{EncodingKind, Instruction, Mnemonic};

use crate::error::{Refusal, Site};
use crate::input::{Program, Segment, Symbol};
use crate::instructions::Instructions;

/// Refuses VEX-coded instructions in the nucleus.
pub(crate) fn check_nucleus(nucleus: &Program<'_>) -> Result<(), Refusal> {
    check(nucleus, |instruction| is_vex(instruction).then_some(Refusal::Vex as Verdict))
}

/// Refuses VEX-coded and privileged instructions in a guest, and ways into ring 0 other than at `gate`.
pub(crate) fn check_guest(guest: &Program<'_>, gate: u64) -> Result<(), Refusal> {
    check(guest, |instruction| {
        if is_vex(instruction) {
            return Some(Refusal::Vex);
        }
        if enters_ring_0(instruction) {
            return (instruction.ip() != gate).then_some(Refusal::SecondGate);
        }
        is_privileged(instruction).then_some(Refusal::Privileged)
    })
}

/// Makes a refusal of the place where an instruction stands.
type Verdict = fn(Site) -> Refusal;

fn check(program: &Program<'_>, judge: impl Fn(&Instruction) -> Option<Verdict>) -> Result<(), Refusal> {
    for segment in program.executable_segments() {
        for instruction in Instructions::new(segment.bytes, segment.start, starts(segment, &program.symbols))
        {
            if let Some(verdict) = judge(&instruction) {
                return Err(verdict(site(&instruction, segment, &program.symbols)));
            }
        }
    }
    Ok(())
}

/// Addresses at which an instruction is known to start.
fn starts<'a>(segment: &'a Segment<'_>, symbols: &'a [Symbol<'_>]) -> impl Iterator<Item = u64> {
    symbols
        .iter()
        .flat_map(|symbol| [symbol.start, symbol.start.saturating_add(symbol.length)])
        .filter(|address| segment.file_range().contains(address))
}

fn is_vex(instruction: &Instruction) -> bool {
    matches!(
        instruction.code().encoding(),
        EncodingKind::VEX | EncodingKind::EVEX | EncodingKind::XOP | EncodingKind::MVEX
    )
}

fn enters_ring_0(instruction: &Instruction) -> bool {
    matches!(
        instruction.mnemonic(),
        Mnemonic::Syscall
            | Mnemonic::Sysenter
            | Mnemonic::Int
            | Mnemonic::Int1
            | Mnemonic::Vmcall
            | Mnemonic::Vmmcall
            | Mnemonic::Vmfunc
    )
}

fn is_privileged(instruction: &Instruction) -> bool {
    instruction.is_privileged()
        || matches!(
            instruction.mnemonic(),
            // Ring 3 might run these, but they are ring 0's: returns from traps, sleep, what UMIP hides, keys.
            Mnemonic::Iret
                | Mnemonic::Iretd
                | Mnemonic::Iretq
                | Mnemonic::Monitor
                | Mnemonic::Mwait
                | Mnemonic::Sgdt
                | Mnemonic::Sidt
                | Mnemonic::Sldt
                | Mnemonic::Smsw
                | Mnemonic::Str
                | Mnemonic::Wrpkru
        )
}

fn site(instruction: &Instruction, segment: &Segment<'_>, symbols: &[Symbol<'_>]) -> Site {
    let address = instruction.ip();
    let mnemonic = format!("{:?}", instruction.mnemonic()).to_lowercase();
    let function = function_at(address, symbols).map(|symbol| {
        let name = String::from_utf8_lossy(symbol.name);
        format!("{:#}", rustc_demangle::demangle(&name))
    });
    Site { mnemonic, address, function, segment: segment.label.clone() }
}

/// Returns the nearest symbol at or below `address` that is either a label or reaches over it.
pub(crate) fn function_at<'a>(address: u64, symbols: &'a [Symbol<'a>]) -> Option<&'a Symbol<'a>> {
    let end = symbols.partition_point(|symbol| symbol.start <= address);
    symbols
        .get(..end)?
        .iter()
        .rev()
        .find(|symbol| symbol.length == 0 || address < symbol.start.saturating_add(symbol.length))
}

//! One pass over all instructions: it finds the `syscall` instructions and completes the set of targets.
//!
//! Instructions are decoded in order, anew at each function that symbols or unwind tables name. The bytes `0F 05` also
//! occur within other instructions, so a site is never taken from the bytes. Where decoding stumbled shortly before,
//! there may be a table instead of code, and a site there is doubtful.

use std::collections::VecDeque;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};

use super::program::{Code, LinuxProgram};
use super::targets::Targets;
use super::unwind;
use crate::instructions::Instructions;

/// Instructions before a site that are remembered: windows take few, the number of a call may stand further away.
const BEFORE: usize = 24;
/// Instructions after a site that a window can take.
const AFTER: usize = 8;
/// Bytes after one that is no instruction in which decoding may still be out of step.
const DOUBTFUL_BYTES: u64 = 64;

/// A `syscall` and what stands around it in the same straight line of bytes.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) site: Instruction,
    /// In the order of addresses.
    pub(super) before: Vec<Instruction>,
    pub(super) after: Vec<Instruction>,
    pub(super) certainty: Certainty,
}

/// How sure it is that a site is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Certainty {
    Sure,
    /// Shortly before stand bytes that are no instruction.
    AfterNoise,
    /// Neither a section nor an unwind table says that this is code.
    Unnamed,
}

/// Finds all sites of `program`, by address, and all targets.
pub(super) fn sweep(program: &LinuxProgram<'_>) -> (Vec<Candidate>, Targets) {
    let mut unwind = unwind::read(program);
    unwind.functions.sort_unstable_by_key(|function| function.start);
    let mut targets = Targets::of_data(program);
    for address in
        unwind.landing_pads.iter().copied().chain(unwind.functions.iter().map(|function| function.start))
    {
        targets.add(address);
    }
    let symbols = program.symbols.iter().map(|symbol| symbol.start);
    let mut starts: Vec<u64> = symbols
        .chain(unwind.functions.iter().map(|function| function.start))
        .chain([program.entry()])
        .collect();
    starts.sort_unstable();
    starts.dedup();
    let mut candidates = Vec::new();
    for code in &program.code {
        let mut sites = Sites {
            program,
            code,
            unwind: &unwind,
            starts: &starts,
            line: Line::default(),
            candidates: &mut candidates,
        };
        for instruction in Instructions::new(code.bytes, code.start, starts.iter().copied()) {
            targets.add_instruction(&instruction, program);
            sites.visit(&instruction);
        }
    }
    targets.add_tables(program);
    // Where decoding starts anew in the middle of an instruction, a site may be met twice.
    candidates.sort_by_key(|candidate| candidate.site.ip());
    candidates.dedup_by_key(|candidate| candidate.site.ip());
    (candidates, targets)
}

/// The straight line of bytes up to an instruction.
#[derive(Default)]
struct Line {
    /// The last instructions, without a gap.
    instructions: VecDeque<Instruction>,
    next: Option<u64>,
    doubtful_until: u64,
}

struct Sites<'a, 'b> {
    program: &'a LinuxProgram<'b>,
    code: &'a Code<'b>,
    unwind: &'a unwind::Unwind,
    /// Where decoding starts anew, in order.
    starts: &'a [u64],
    line: Line,
    candidates: &'a mut Vec<Candidate>,
}

impl Sites<'_, '_> {
    fn visit(&mut self, instruction: &Instruction) {
        let address = instruction.ip();
        if self.line.next.is_some_and(|next| next != address) {
            self.line.instructions.clear();
            self.line.doubtful_until = address.saturating_add(DOUBTFUL_BYTES);
        }
        if address < self.line.doubtful_until && self.starts.binary_search(&address).is_ok() {
            self.line.doubtful_until = address;
        }
        if instruction.mnemonic() == Mnemonic::Syscall {
            let candidate = self.candidate(instruction);
            self.candidates.push(candidate);
        }
        if self.line.instructions.len() == BEFORE {
            self.line.instructions.pop_front();
        }
        self.line.instructions.push_back(*instruction);
        self.line.next = Some(instruction.next_ip());
    }

    fn candidate(&self, site: &Instruction) -> Candidate {
        let certainty = if !self.code.is_sure && !self.is_in_function(site.ip()) {
            Certainty::Unnamed
        } else if site.ip() < self.line.doubtful_until {
            Certainty::AfterNoise
        } else {
            Certainty::Sure
        };
        let before = self.line.instructions.iter().copied().collect();
        Candidate { site: *site, before, after: self.after(site), certainty }
    }

    fn after(&self, site: &Instruction) -> Vec<Instruction> {
        let offset = usize::try_from(site.next_ip() - self.code.start).unwrap_or(usize::MAX);
        let bytes = self.code.bytes.get(offset..).unwrap_or_default();
        Decoder::with_ip(64, bytes, site.next_ip(), DecoderOptions::NONE)
            .into_iter()
            .take(AFTER)
            .take_while(|instruction| !instruction.is_invalid())
            .collect()
    }

    fn is_in_function(&self, address: u64) -> bool {
        let functions = &self.unwind.functions;
        let behind = functions.partition_point(|function| function.start <= address);
        let unwound = behind.checked_sub(1).is_some_and(|last| functions[last].contains(&address));
        unwound || crate::scan::function_at(address, &self.program.symbols).is_some()
    }
}

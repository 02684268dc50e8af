//! The addresses that something may jump to, as far as a file shows.
//!
//! A jump into the middle of a patched window would run half a jump. So whatever could be a target is one: missing one
//! breaks the program, a false one only costs a window. There are direct branches and the places behind calls; symbols;
//! addresses that code takes (`lea`, and immediates where the program has its place); pointers of eight bytes anywhere
//! in the data, aligned or not, which are also those of relocations with addends; tables of 32-bit distances whose
//! address code takes; functions of the unwind tables and their landing pads.

use core::ops::Range;
use std::collections::BTreeSet;

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind};

use super::program::LinuxProgram;

/// Entries of all tables together, so that a small file cannot take long.
const MAX_ENTRIES: usize = 64_000_000;

/// A set of addresses within the code of one program.
#[derive(Debug)]
pub(super) struct Targets {
    ranges: Vec<Bits>,
    /// From the first code to the end of the last.
    hull: Range<u64>,
    /// Addresses that code takes, where tables may start.
    taken: BTreeSet<u64>,
    /// Those that code takes by `lea`, relative to itself: another datum starts there for sure.
    starts: BTreeSet<u64>,
    /// Some tables have not been read: anything may be a target.
    is_cut_short: bool,
}

/// One bit for each byte of a stretch of code.
#[derive(Debug)]
struct Bits {
    start: u64,
    length: u64,
    words: Vec<Word>,
}

/// What is known of 64 bytes of code.
#[derive(Clone, Copy, Default, Debug)]
struct Word {
    targets: u64,
    /// Those that only look like pointers in the data, or like entries of tables.
    pointers: u64,
}

impl Bits {
    fn place(&self, address: u64) -> Option<(usize, u64)> {
        let offset = address.checked_sub(self.start).filter(|offset| *offset < self.length)?;
        Some((usize::try_from(offset / 64).ok()?, 1 << (offset % 64)))
    }
}

impl Targets {
    /// Collects what the data of `program` and its tables tell; instructions are added by [`Self::add_instruction`].
    pub(super) fn of_data(program: &LinuxProgram<'_>) -> Self {
        let ranges: Vec<Bits> = program
            .code
            .iter()
            .map(|code| {
                let words = vec![Word::default(); code.bytes.len().div_ceil(64)];
                Bits { start: code.start, length: code.bytes.len() as u64, words }
            })
            .collect();
        let lowest = ranges.first().map_or(0, |bits| bits.start);
        let highest = ranges.last().map_or(0, |bits| bits.start.saturating_add(bits.length));
        let hull = lowest..highest;
        let mut targets =
            Self { ranges, hull, taken: BTreeSet::new(), starts: BTreeSet::new(), is_cut_short: false };
        targets.add(program.entry());
        for symbol in &program.symbols {
            targets.add(symbol.start);
        }
        for segment in &program.segments {
            for window in segment.bytes.windows(8) {
                let pointer = u64::from_le_bytes(window.try_into().expect("windows of 8 bytes"));
                targets.add_pointer(pointer);
            }
        }
        targets
    }

    pub(super) fn add(&mut self, address: u64) {
        if let Some((word, bit)) = self.word(address) {
            word.targets |= bit;
        }
    }

    fn add_pointer(&mut self, address: u64) {
        if let Some((word, bit)) = self.word(address) {
            word.pointers |= bit;
        }
    }

    fn word(&mut self, address: u64) -> Option<(&mut Word, u64)> {
        if !self.hull.contains(&address) {
            return None;
        }
        self.ranges.iter_mut().find_map(|bits| {
            let (word, bit) = bits.place(address)?;
            Some((&mut bits.words[word], bit))
        })
    }

    /// Adds where `instruction` may lead, what it takes the address of, and the jump table that may stand there.
    pub(super) fn add_instruction(&mut self, instruction: &Instruction, program: &LinuxProgram<'_>) {
        let is_call = matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
        // To the decoder a `syscall` is a call, too, but nothing keeps where it goes back to.
        if is_call && instruction.mnemonic() != Mnemonic::Syscall {
            self.add(instruction.next_ip());
        }
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::NearBranch64 | OpKind::NearBranch32 | OpKind::NearBranch16 => {
                    self.add(instruction.near_branch_target());
                }
                OpKind::Immediate64 => self.add_taken(instruction.immediate64()),
                OpKind::Immediate32 | OpKind::Immediate32to64 if !program.is_position_independent() => {
                    self.add_taken(instruction.immediate(operand) & 0xffff_ffff);
                }
                OpKind::Memory if instruction.mnemonic() == Mnemonic::Lea => {
                    if instruction.is_ip_rel_memory_operand() {
                        self.add_taken(instruction.ip_rel_memory_address());
                        self.starts.insert(instruction.ip_rel_memory_address());
                    } else if !program.is_position_independent() {
                        self.add_taken(instruction.memory_displacement64());
                    }
                }
                _ => {}
            }
        }
    }

    /// Tells whether something may lead to the instruction at `address`.
    pub(super) fn contains(&self, address: u64) -> bool {
        let is_known = |(word, bit): (Word, u64)| (word.targets | word.pointers) & bit != 0;
        self.is_cut_short || self.known(address).is_some_and(is_known)
    }

    /// Tells whether something may lead into the middle of an instruction, to `address`.
    ///
    /// Branches do so to leave out a prefix. No pointer does: eight bytes that look like one are some other datum.
    pub(super) fn splits(&self, address: u64) -> bool {
        self.known(address).is_some_and(|(word, bit)| word.targets & bit != 0)
    }

    fn known(&self, address: u64) -> Option<(Word, u64)> {
        self.ranges.iter().find_map(|bits| bits.place(address).map(|(word, bit)| (bits.words[word], bit)))
    }

    /// Adds what the tables of distances lead to whose addresses code takes.
    ///
    /// A table ends where its distances lead elsewhere than to code, or where another datum starts: what follows is
    /// often the next table, whose distances are from elsewhere.
    pub(super) fn add_tables(&mut self, program: &LinuxProgram<'_>) {
        let starts = core::mem::take(&mut self.starts);
        let mut left = MAX_ENTRIES;
        for address in core::mem::take(&mut self.taken) {
            let Some(bytes) = program.bytes_from(address) else { continue };
            let next = starts.range(address + 1..).next().map_or(u64::MAX, |next| next - address);
            let length = usize::try_from(next).unwrap_or(usize::MAX).min(bytes.len());
            for entry in bytes[..length].chunks_exact(4) {
                let distance = i32::from_le_bytes(entry.try_into().expect("chunks of 4 bytes"));
                let target = address.wrapping_add_signed(i64::from(distance));
                let Some((word, bit)) = self.word(target) else { break };
                word.pointers |= bit;
                left -= 1;
                if left == 0 {
                    self.is_cut_short = true;
                    return;
                }
            }
        }
    }

    /// Adds an address that code takes: of code, or of a table of distances from itself.
    fn add_taken(&mut self, address: u64) {
        self.add(address);
        self.taken.insert(address);
    }
}

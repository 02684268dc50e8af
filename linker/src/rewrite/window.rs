//! The window of a site: whole instructions, five bytes or more, that a jump to the stub takes the place of.
//!
//! Instructions after the site are taken first, because most sites have a comparison of the result there. Preceding
//! ones are taken where those after it do not do. No instruction of a window but the first may be a target, not even
//! in its middle, and all but the `syscall` itself must do the same elsewhere.

use core::ops::Range;

use iced_x86::{Code, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::program::LinuxProgram;
use super::sweep::{Candidate, Certainty};
use super::targets::Targets;

/// Length of `jmp rel32`.
pub(super) const JUMP: u64 = 5;
/// Preceding instructions that are taken at most.
const MAX_BEFORE: usize = 6;

/// Why a site keeps its `syscall`, which then traps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Trap {
    /// Every window has a jump target in it.
    Target,
    /// What stands around the site cannot run elsewhere (calls, short branches, another `syscall`).
    Immovable,
    /// The window of the site before it ends too late, or the code itself ends.
    NoRoom,
    /// Shortly before it stand bytes that are no instruction, so it may be part of a table.
    AfterNoise,
    /// The file has no section headers, and no unwind table says that this is code.
    Unnamed,
}

impl core::fmt::Display for Trap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Target => "a jump may lead into every window",
            Self::Immovable => "what stands around it cannot be moved",
            Self::NoRoom => "too close to another site or to the end of the code",
            Self::AfterNoise => "it may be part of a table",
            Self::Unnamed => "nothing in the file says that it is code",
        })
    }
}

/// What becomes of the instructions around a site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Window {
    /// Addresses of all the instructions that the jump takes the place of, the `syscall` and padding among them.
    pub range: Range<u64>,
    /// Instructions that run in the stub before the call.
    pub before: Vec<Moved>,
    /// Instructions that run in the stub after the call.
    pub after: Vec<Moved>,
    /// The last moved instruction never goes on to the next.
    pub ends: bool,
}

/// An instruction that runs in a stub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moved {
    /// Where it stood.
    pub original: u64,
    /// Its bytes.
    pub length: usize,
    /// Offset of a 32-bit distance from its end, and the address that it leads to.
    pub(super) distance: Option<(usize, u64)>,
}

/// Plans the window of a site, in what is left from `free_from`.
pub(super) fn plan(
    candidate: &Candidate,
    targets: &Targets,
    program: &LinuxProgram<'_>,
    free_from: u64,
) -> Result<Window, Trap> {
    match candidate.certainty {
        Certainty::Sure => {}
        Certainty::AfterNoise => return Err(Trap::AfterNoise),
        Certainty::Unnamed => return Err(Trap::Unnamed),
    }
    if candidate.site.ip() < free_from {
        return Err(Trap::NoRoom);
    }
    let mut first_trap = None;
    for count in 0..=candidate.before.len().min(MAX_BEFORE) {
        let taken = &candidate.before[candidate.before.len() - count..];
        match window(taken, candidate, targets, program, free_from) {
            Ok(window) => return Ok(window),
            // The first tells most: it is the window that the others make up for.
            Err(trap) => first_trap = first_trap.or(Some(trap)),
        }
    }
    Err(first_trap.unwrap_or(Trap::NoRoom))
}

fn window(
    preceding: &[Instruction],
    candidate: &Candidate,
    targets: &Targets,
    program: &LinuxProgram<'_>,
    free_from: u64,
) -> Result<Window, Trap> {
    let site = &candidate.site;
    let start = preceding.first().unwrap_or(site).ip();
    if start < free_from {
        return Err(Trap::NoRoom);
    }
    let before = preceding
        .iter()
        .map(|instruction| moved(instruction, program).filter(|_| goes_on(instruction)))
        .collect::<Option<Vec<_>>>()
        .ok_or(Trap::Immovable)?;
    let mut window = Window { range: start..site.next_ip(), before, after: Vec::new(), ends: false };
    for instruction in &candidate.after {
        if window.range.end - start >= JUMP {
            break;
        }
        if window.ends {
            is_padding(instruction).then_some(()).ok_or(Trap::Immovable)?;
        } else {
            window.after.push(moved(instruction, program).ok_or(Trap::Immovable)?);
            window.ends = !goes_on(instruction);
        }
        window.range.end = instruction.next_ip();
    }
    if window.range.end - start < JUMP {
        return Err(Trap::NoRoom);
    }
    let instructions = preceding.iter().chain([site]).chain(&candidate.after);
    let is_entered =
        instructions.take_while(|instruction| instruction.ip() < window.range.end).any(|instruction| {
            instruction.ip() > start && targets.contains(instruction.ip())
                || (instruction.ip() + 1..instruction.next_ip()).any(|address| targets.splits(address))
        });
    if is_entered {
        return Err(Trap::Target);
    }
    Ok(window)
}

fn goes_on(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch)
}

fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
        || instruction.code() == Code::Xchg_r16_AX && instruction.op0_register() == Register::AX
}

/// Tells how `instruction` runs elsewhere, if it can.
fn moved(instruction: &Instruction, program: &LinuxProgram<'_>) -> Option<Moved> {
    let is_movable = match instruction.flow_control() {
        FlowControl::Next => !matches!(instruction.mnemonic(), Mnemonic::Syscall | Mnemonic::Endbr64),
        FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch => {
            instruction.op0_kind() == OpKind::NearBranch64
        }
        FlowControl::Return | FlowControl::IndirectBranch | FlowControl::Exception => true,
        // A return address in a stub is one that nothing knows.
        _ => false,
    };
    let length = instruction.len();
    let moved = Moved { original: instruction.ip(), length, distance: None };
    if !is_movable {
        return None;
    }
    let constants = || {
        let bytes = program.bytes_from(instruction.ip())?;
        let mut decoder =
            iced_x86::Decoder::with_ip(64, bytes, instruction.ip(), iced_x86::DecoderOptions::NONE);
        let again = decoder.decode();
        Some(decoder.get_constant_offsets(&again))
    };
    if instruction.op0_kind() == OpKind::NearBranch64 {
        let offsets = constants().filter(|offsets| offsets.immediate_size() == 4)?;
        let distance = (offsets.immediate_offset(), instruction.near_branch_target());
        return Some(Moved { distance: Some(distance), ..moved });
    }
    match instruction.memory_base() {
        Register::EIP => None,
        Register::RIP => {
            let offsets = constants().filter(|offsets| offsets.displacement_size() == 4)?;
            let distance = (offsets.displacement_offset(), instruction.ip_rel_memory_address());
            Some(Moved { distance: Some(distance), ..moved })
        }
        _ => Some(moved),
    }
}

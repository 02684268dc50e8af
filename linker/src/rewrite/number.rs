//! The number of a call, where the instructions before it make it constant.
//!
//! Going back from the site, the first instruction that writes `rax` must load a constant, and none behind it may be
//! entered from elsewhere. A conditional branch in between is no matter: it leaves, or changes nothing.

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use super::targets::Targets;

/// Returns the number that stands in `eax` at `site`, if it is always the same.
pub(super) fn constant(before: &[Instruction], site: &Instruction, targets: &Targets) -> Option<u32> {
    let mut later = site.ip();
    let mut older = before.iter().rev();
    while let Some(instruction) = older.next() {
        let goes_on =
            matches!(instruction.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch);
        if targets.contains(later) || !goes_on {
            return None;
        }
        if instruction.mnemonic() == Mnemonic::Pop && instruction.op0_register() == Register::RAX {
            let is_entered = targets.contains(instruction.ip());
            return pushed(older.next()?).filter(|_| !is_entered);
        }
        if writes_rax(instruction) {
            return loaded(instruction);
        }
        later = instruction.ip();
    }
    None
}

fn pushed(instruction: &Instruction) -> Option<u32> {
    let is_constant = instruction.mnemonic() == Mnemonic::Push && is_immediate(instruction.op0_kind());
    is_constant.then(|| low_half(instruction.immediate(0)))
}

/// Returns the constant that `instruction` loads into `eax`.
fn loaded(instruction: &Instruction) -> Option<u32> {
    if !matches!(instruction.op0_register(), Register::EAX | Register::RAX) {
        return None;
    }
    let is_same = instruction.op1_kind() == OpKind::Register
        && instruction.op1_register() == instruction.op0_register();
    match instruction.mnemonic() {
        Mnemonic::Mov if is_immediate(instruction.op1_kind()) => Some(low_half(instruction.immediate(1))),
        Mnemonic::Xor | Mnemonic::Sub if is_same => Some(0),
        _ => None,
    }
}

fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate32to64
            | OpKind::Immediate8to64
            | OpKind::Immediate8to32
    )
}

fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).expect("half of 64 bits has 32")
}

fn writes_rax(instruction: &Instruction) -> bool {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_registers();
    used.iter().any(|used| {
        let writes = matches!(
            used.access(),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        writes && used.register().full_register() == Register::RAX
    })
}

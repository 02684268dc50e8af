//! Walks the stack that a crashed machine shipped, by the unwind tables of the unstripped ELF files.
//!
//! Our code has no frame pointers, so `.eh_frame` is the only way up (DWARF 5, 6.4; System V ABI for x86-64, 4.2.4).
//! The stack comes from inside the machine and may hold anything: the walk is bounded, each step must go up the
//! stack, and what is not there ends it.

use abi::upcall::Registers;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, Encoding, EndianSlice, EvaluationResult, Format, LittleEndian, Location,
    Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection, UnwindTableRow, Value, X86_64,
};

use super::symbols::{Program, Programs};
use crate::control::CrashRecord;

/// Most frames that are walked.
pub(super) const DEEPEST: usize = 64;
/// Most steps of one unwind expression.
const LONGEST_EXPRESSION: u32 = 1000;
/// Registers that unwind tables number: 16 general ones and the return address.
const REGISTERS: usize = 17;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// One frame of the walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    /// Address at which the frame goes on.
    pub(super) address: u64,
    /// An address within the instruction that the frame is at, to look names up by.
    pub(super) lookup: u64,
}

/// Returns the frames from the innermost out; the first is where the registers point.
pub(super) fn frames(crash: &CrashRecord, programs: &Programs) -> Vec<Frame> {
    let mut walk = Walk::new(crash);
    let mut frames = vec![Frame { address: walk.program_counter(), lookup: walk.program_counter() }];
    while frames.len() < DEEPEST {
        let Some(frame) = walk.step(programs) else { break };
        frames.push(frame);
    }
    frames
}

struct Walk<'a> {
    stack: Stack<'a>,
    registers: [Option<u64>; REGISTERS],
    lookup: u64,
    is_innermost: bool,
}

impl<'a> Walk<'a> {
    fn new(crash: &'a CrashRecord) -> Self {
        let registers = dwarf_registers(&crash.registers);
        Self {
            stack: Stack { start: crash.stack_start, bytes: &crash.stack },
            registers: registers.map(Some),
            lookup: crash.registers.rip,
            is_innermost: true,
        }
    }

    fn program_counter(&self) -> u64 {
        self.get(X86_64::RA).unwrap_or(0)
    }

    fn get(&self, register: Register) -> Option<u64> {
        *self.registers.get(usize::from(register.0))?
    }

    /// Goes one frame out; `None`: the walk has ended.
    fn step(&mut self, programs: &Programs) -> Option<Frame> {
        let was_innermost = std::mem::replace(&mut self.is_innermost, false);
        let before = self.get(X86_64::RSP)?;
        let is_signal = match programs.at(self.lookup).and_then(|program| self.step_by_table(program)) {
            Some(is_signal) => is_signal,
            // A call of what is no code leaves its return address on top of the stack.
            None if was_innermost => self.step_over_call()?,
            None => return None,
        };
        let address = self.program_counter();
        let is_upward = self.get(X86_64::RSP)? > before || is_signal;
        self.lookup = if is_signal { address } else { address.checked_sub(1)? };
        let is_known = programs.at(self.lookup).is_some_and(|program| program.code(self.lookup).is_some());
        (is_upward && is_known).then_some(Frame { address, lookup: self.lookup })
    }

    fn step_over_call(&mut self) -> Option<bool> {
        let rsp = self.get(X86_64::RSP)?;
        let address = self.stack.word(rsp)?;
        self.set(X86_64::RA, Some(address));
        self.set(X86_64::RSP, rsp.checked_add(8));
        Some(false)
    }

    /// Applies the row of the unwind table; tells whether the frame interrupted the one further out.
    fn step_by_table(&mut self, program: &Program) -> Option<bool> {
        let section = EhFrame::new(&program.eh_frame.bytes, LittleEndian);
        let bases =
            BaseAddresses::default().set_eh_frame(program.eh_frame.start).set_text(program.text_start);
        let entry = section.fde_for_address(&bases, self.lookup, EhFrame::cie_from_offset).ok()?;
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(&section, &bases, &mut context, self.lookup).ok()?;
        self.apply(row, &section, entry.cie().encoding())?;
        Some(entry.is_signal_trampoline())
    }

    fn apply(
        &mut self,
        row: &UnwindTableRow<usize>,
        section: &EhFrame<Slice<'_>>,
        encoding: Encoding,
    ) -> Option<()> {
        let frame_address = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.get(*register)?.checked_add_signed(*offset)?
            }
            CfaRule::Expression(expression) => self.evaluate(expression, section, encoding, None)?,
        };
        let mut outer = self.registers;
        // The frame address is by definition the stack pointer of the frame further out.
        outer[usize::from(X86_64::RSP.0)] = Some(frame_address);
        outer[usize::from(X86_64::RA.0)] = None;
        for (register, rule) in row.registers() {
            if let Some(slot) = outer.get_mut(usize::from(register.0)) {
                *slot = self.recover(*register, rule, frame_address, section, encoding);
            }
        }
        self.registers = outer;
        Some(())
    }

    fn recover(
        &self,
        register: Register,
        rule: &RegisterRule<usize>,
        frame_address: u64,
        section: &EhFrame<Slice<'_>>,
        encoding: Encoding,
    ) -> Option<u64> {
        match rule {
            RegisterRule::SameValue => self.get(register),
            RegisterRule::Offset(offset) => self.stack.word(frame_address.checked_add_signed(*offset)?),
            RegisterRule::ValOffset(offset) => frame_address.checked_add_signed(*offset),
            RegisterRule::Register(other) => self.get(*other),
            RegisterRule::Expression(expression) => {
                self.stack.word(self.evaluate(expression, section, encoding, Some(frame_address))?)
            }
            RegisterRule::ValExpression(expression) => {
                self.evaluate(expression, section, encoding, Some(frame_address))
            }
            RegisterRule::Constant(value) => Some(*value),
            _ => None,
        }
    }

    fn evaluate(
        &self,
        expression: &UnwindExpression<usize>,
        section: &EhFrame<Slice<'_>>,
        encoding: Encoding,
        initial: Option<u64>,
    ) -> Option<u64> {
        let encoding = Encoding { format: Format::Dwarf32, ..encoding };
        let mut evaluation = expression.get(section).ok()?.evaluation(encoding);
        evaluation.set_max_iterations(LONGEST_EXPRESSION);
        if let Some(value) = initial {
            evaluation.set_initial_value(value);
        }
        let mut state = evaluation.evaluate().ok()?;
        for _ in 0..LONGEST_EXPRESSION {
            state = match state {
                EvaluationResult::Complete => return result(evaluation.as_result()),
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.get(register)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    evaluation.resume_with_memory(Value::Generic(self.stack.word(address)?)).ok()?
                }
                _ => return None,
            };
        }
        None
    }

    fn set(&mut self, register: Register, value: Option<u64>) {
        if let Some(slot) = self.registers.get_mut(usize::from(register.0)) {
            *slot = value;
        }
    }
}

fn result(pieces: &[gimli::Piece<Slice<'_>>]) -> Option<u64> {
    match pieces {
        [gimli::Piece { location: Location::Address { address }, .. }] => Some(*address),
        _ => None,
    }
}

/// The bytes that were shipped.
struct Stack<'a> {
    start: u64,
    bytes: &'a [u8],
}

impl Stack<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let offset = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(offset..offset.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// Registers in DWARF's numbering (System V ABI for x86-64, figure 3.36).
fn dwarf_registers(r: &Registers) -> [u64; REGISTERS] {
    [
        r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15, r.rip,
    ]
}

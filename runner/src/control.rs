//! Reads the control channel: the byte stream by which a machine tells how it ended.
//!
//! The bytes come from inside the machine, so nothing in them is trusted: a length is checked against what the
//! contract allows before anything is stored, and what is no record is skipped and counted.

use abi::control::{CrashHeader, CrashKind, MAGIC, MAX_STACK_BYTES, MAX_TEXT_BYTES, RecordHeader, record};
use abi::upcall::Registers;

/// What a machine says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// The program ended with this status.
    Exit(u8),
    /// The program or the nucleus crashed.
    Crash(Box<CrashRecord>),
    /// It takes console input from now on.
    Ready,
}

/// A crash as the machine shipped it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CrashRecord {
    /// Why; `None` is a kind that this runner does not know.
    pub kind: Option<CrashKind>,
    /// Exception vector (SDM 3A table 6-1).
    pub vector: u32,
    /// Error code of the exception.
    pub error_code: u64,
    /// Faulting address of a page fault.
    pub address: u64,
    /// The registers where it happened.
    pub registers: Registers,
    /// Address of the first byte of `stack`.
    pub stack_start: u64,
    /// What the machine says in its own words.
    pub text: String,
    /// The top of the stack.
    pub stack: Vec<u8>,
}

const HEADER: usize = size_of::<RecordHeader>();
const CRASH_HEADER: usize = size_of::<CrashHeader>();
const LONGEST_PAYLOAD: usize = CRASH_HEADER + MAX_TEXT_BYTES + MAX_STACK_BYTES;

/// Takes a stream in pieces of any size and finds the records in it.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Vec<u8>,
    skipped: u64,
}

impl Parser {
    /// Starts at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream and returns the records that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        // Small steps keep `pending` below one record, however large the piece.
        for piece in bytes.chunks(HEADER) {
            self.pending.extend_from_slice(piece);
            while let Some(step) = next_step(&self.pending) {
                self.take(&step, &mut records);
            }
        }
        records
    }

    /// Returns how many bytes were not part of a record.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn take(&mut self, step: &Step, records: &mut Vec<Record>) {
        match *step {
            Step::Skip(count) => {
                self.skipped += count as u64;
                self.pending.drain(..count);
            }
            Step::Record { kind, end } => {
                match parse_payload(kind, &self.pending[HEADER..end]) {
                    Some(record) => records.push(record),
                    None => self.skipped += end as u64,
                }
                self.pending.drain(..end);
            }
        }
    }
}

enum Step {
    /// These bytes belong to no record.
    Skip(usize),
    /// A whole record stands at the beginning.
    Record { kind: u32, end: usize },
}

/// Decides what the beginning of `pending` is; `None`: more bytes are needed.
fn next_step(pending: &[u8]) -> Option<Step> {
    let magic = MAGIC.to_le_bytes();
    let known = pending.len().min(magic.len());
    if pending.is_empty() {
        return None;
    }
    if pending[..known] != magic[..known] {
        let next = pending.iter().skip(1).position(|byte| *byte == magic[0]);
        return Some(Step::Skip(next.map_or(pending.len(), |position| position + 1)));
    }
    let mut fields = Fields(pending.get(..HEADER)?);
    let (_magic, kind, length) = (fields.u32()?, fields.u32()?, fields.u32()?);
    match usize::try_from(length) {
        Ok(length) if length <= LONGEST_PAYLOAD => {
            let end = HEADER + length;
            (pending.len() >= end).then_some(Step::Record { kind, end })
        }
        _ => Some(Step::Skip(magic.len())),
    }
}

fn parse_payload(kind: u32, payload: &[u8]) -> Option<Record> {
    match kind {
        record::EXIT => match payload {
            [status] => Some(Record::Exit(*status)),
            _ => None,
        },
        record::READY => payload.is_empty().then_some(Record::Ready),
        record::CRASH => parse_crash(payload).map(|crash| Record::Crash(Box::new(crash))),
        _ => None,
    }
}

fn parse_crash(payload: &[u8]) -> Option<CrashRecord> {
    let (header, rest) = payload.split_at_checked(CRASH_HEADER)?;
    let mut fields = Fields(header);
    let kind = CrashKind::from_number(u64::from(fields.u32()?));
    let (vector, error_code, address) = (fields.u32()?, fields.u64()?, fields.u64()?);
    let registers = parse_registers(&mut fields)?;
    let (stack_start, text_length, stack_length) = (fields.u64()?, fields.u32()?, fields.u32()?);
    let (text, rest) = rest.split_at_checked(usize::try_from(text_length).ok()?)?;
    let stack = rest.get(..usize::try_from(stack_length).ok()?)?;
    Some(CrashRecord {
        kind,
        vector,
        error_code,
        address,
        registers,
        stack_start,
        text: printable(text),
        stack: stack.to_vec(),
    })
}

fn parse_registers(fields: &mut Fields<'_>) -> Option<Registers> {
    Some(Registers {
        rax: fields.u64()?,
        rdx: fields.u64()?,
        rcx: fields.u64()?,
        rbx: fields.u64()?,
        rsi: fields.u64()?,
        rdi: fields.u64()?,
        rbp: fields.u64()?,
        rsp: fields.u64()?,
        r8: fields.u64()?,
        r9: fields.u64()?,
        r10: fields.u64()?,
        r11: fields.u64()?,
        r12: fields.u64()?,
        r13: fields.u64()?,
        r14: fields.u64()?,
        r15: fields.u64()?,
        rip: fields.u64()?,
        rflags: fields.u64()?,
    })
}

/// Text from inside the machine goes to the user's terminal: control characters must not steer it.
fn printable(text: &[u8]) -> String {
    let is_kept = |letter: char| letter == '\n' || !letter.is_control();
    String::from_utf8_lossy(text)
        .chars()
        .map(|letter| if is_kept(letter) { letter } else { '\u{fffd}' })
        .collect()
}

/// Takes little-endian fields off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> Option<u32> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*field))
    }

    fn u64(&mut self) -> Option<u64> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*field))
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! The crash report: what happened, the registers, and the way there, by function, file and line.
//!
//! A machine ships its registers and the top of its stack and no more; everything that needs names happens here,
//! on the host, from the unstripped ELF files ([`Symbols`]).

mod instruction;
mod place;
mod symbols;
mod system_call;
mod unwind;
mod words;

use std::fmt;

use abi::control::CrashKind;

use crate::control::CrashRecord;
pub use symbols::{Owner, Symbols};
pub(crate) use symbols::{Programs, SourceFrame};

/// Column at which the place in the source starts, where the name leaves room.
const SOURCE_COLUMN: usize = 48;

/// A crash, explained.
#[derive(Clone, Debug)]
pub struct CrashReport {
    /// As the machine shipped it.
    pub record: CrashRecord,
    /// What happened, in one line.
    pub headline: String,
    /// What the CPU said, if it was a fault.
    pub exception: Option<String>,
    /// The way there, innermost first.
    pub backtrace: Vec<Frame>,
    is_symbolised: bool,
}

/// A frame of the backtrace. Inlined functions have frames of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Address at which it goes on; `None` if the function was inlined into the next frame.
    pub address: Option<u64>,
    /// Its function, if a symbol says so.
    pub function: Option<String>,
    /// File and line, if the debug information says so.
    pub location: Option<(String, u32)>,
}

impl CrashReport {
    /// Explains a crash by the ELF files of its image.
    #[must_use]
    pub fn new(record: CrashRecord, symbols: &Symbols) -> Self {
        let programs = Programs::load(symbols);
        let backtrace: Vec<Frame> = unwind::frames(&record, &programs)
            .into_iter()
            .flat_map(|frame| source(frame, &programs))
            .collect();
        Self {
            headline: words::headline(&record, &programs),
            exception: words::exception(&record),
            is_symbolised: backtrace.iter().any(|frame| frame.function.is_some()),
            backtrace,
            record,
        }
    }

    /// Returns the innermost function with a name.
    #[must_use]
    pub fn function(&self) -> Option<&str> {
        self.backtrace.iter().find_map(|frame| frame.function.as_deref())
    }
}

fn source(frame: unwind::Frame, programs: &Programs) -> Vec<Frame> {
    let Some(program) = programs.at(frame.lookup).filter(|program| program.code(frame.lookup).is_some())
    else {
        return vec![Frame { address: Some(frame.address), function: None, location: None }];
    };
    let functions = program.source_frames(frame.lookup);
    let outermost = functions.len() - 1;
    let to_frame = |(index, SourceFrame { function, location }): (usize, SourceFrame)| Frame {
        address: (index == outermost).then_some(frame.address),
        function,
        location,
    };
    functions.into_iter().enumerate().map(to_frame).collect()
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.record.kind {
            Some(CrashKind::NucleusFault | CrashKind::NucleusPanic) => "the nucleus",
            _ => "the guest",
        };
        writeln!(f, "{who} crashed: {}", self.headline)?;
        self.exception.iter().try_for_each(|exception| writeln!(f, "  {exception}"))?;
        if !self.record.text.is_empty() && !self.headline.contains(self.record.text.trim()) {
            writeln!(f, "  the guest says: {}", self.record.text.trim())?;
        }
        self.write_registers(f)?;
        self.write_backtrace(f)
    }
}

impl CrashReport {
    fn write_registers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = &self.record.registers;
        let rows = [
            [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
            [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)],
            [("r8", r.r8), ("r9", r.r9), ("r10", r.r10), ("r11", r.r11)],
            [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
        ];
        writeln!(f, "\nregisters")?;
        for row in rows {
            row.iter().try_for_each(|(name, value)| write!(f, "  {name:<3} {value:016x}"))?;
            writeln!(f)?;
        }
        writeln!(f, "  rip {:016x}  rflags {:x}", r.rip, r.rflags)
    }

    fn write_backtrace(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nbacktrace")?;
        let calls: Vec<&[Frame]> = self.backtrace.split_inclusive(|frame| frame.address.is_some()).collect();
        let mut number = 0;
        // Recursion fills a backtrace with one line over and over.
        for run in calls.chunk_by(|call, next| is_same_place(call, next)) {
            write_call(f, number, run[0])?;
            match run.len() - 1 {
                0 => {}
                1 => write_call(f, number + 1, run[1])?,
                more => writeln!(f, "      and {more} times more, up to {}", number + more)?,
            }
            number += run.len();
        }
        if !self.is_symbolised {
            writeln!(
                f,
                "  no symbols: run the program by its name, or keep the .debug files beside its image"
            )?;
        }
        Ok(())
    }
}

fn is_same_place(call: &[Frame], next: &[Frame]) -> bool {
    let place = |frame: &Frame| (frame.function.clone(), frame.location.clone());
    call.iter().map(place).eq(next.iter().map(place)) && call.iter().all(|frame| frame.function.is_some())
}

fn write_call(f: &mut fmt::Formatter<'_>, number: usize, call: &[Frame]) -> fmt::Result {
    let labels = std::iter::once(format!("{number:>4}")).chain(std::iter::repeat("    ".to_owned()));
    call.iter().zip(labels).try_for_each(|(frame, label)| writeln!(f, "{label}  {}", describe_frame(frame)))
}

fn describe_frame(frame: &Frame) -> String {
    let mut text = match (&frame.function, frame.address) {
        (Some(name), Some(_)) => name.clone(),
        (Some(name), None) => format!("{name} (inlined)"),
        (None, Some(address)) => format!("{address:#x}"),
        (None, None) => "(inlined)".to_owned(),
    };
    if let Some((file, line)) = &frame.location {
        text = format!("{text:<SOURCE_COLUMN$}  {file}:{line}");
    }
    text
}

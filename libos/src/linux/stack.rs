//! What a program finds on its stack: arguments, environment, auxiliary vector (System V ABI, AMD64 supplement, 3.4.1).

use super::errno::Errno;
use super::user;
use abi::PAGE_SIZE;
use abi::cmdline::Words as CommandLine;
use abi::linux::ProgramTable;
use alloc::vec;
use alloc::vec::Vec;
use services::io::entropy;

/// Start of the words that set variables.
const VARIABLE: &[u8] = b"env.";
/// The variable that asks for the ledger; it is not handed on.
const LEDGER: &[u8] = b"METAOS_LEDGER=";

/// `AT_*`.
mod auxiliary {
    pub(super) const HEADERS: u64 = 3;
    pub(super) const HEADER_SIZE: u64 = 4;
    pub(super) const HEADER_COUNT: u64 = 5;
    pub(super) const PAGE_SIZE: u64 = 6;
    pub(super) const BASE: u64 = 7;
    pub(super) const FLAGS: u64 = 8;
    pub(super) const ENTRY: u64 = 9;
    pub(super) const USER: u64 = 11;
    pub(super) const EFFECTIVE_USER: u64 = 12;
    pub(super) const GROUP: u64 = 13;
    pub(super) const EFFECTIVE_GROUP: u64 = 14;
    pub(super) const PLATFORM: u64 = 15;
    pub(super) const CAPABILITIES: u64 = 16;
    pub(super) const CLOCK_TICKS: u64 = 17;
    pub(super) const SECURE: u64 = 23;
    pub(super) const RANDOM: u64 = 25;
    pub(super) const CAPABILITIES_2: u64 = 26;
    pub(super) const FILE_NAME: u64 = 31;
    pub(super) const SIGNAL_STACK: u64 = 51;
}

/// Bytes that a signal's frame takes at least; large vector registers included.
const SIGNAL_STACK_BYTES: u64 = 3632;
/// Ticks a second, as all Linux has it.
const CLOCK_TICKS: u64 = 100;

/// Arguments and environment.
#[derive(Debug)]
pub(super) struct Words {
    arguments: Vec<Vec<u8>>,
    /// `NAME=VALUE`.
    variables: Vec<Vec<u8>>,
    pub(super) wants_ledger: bool,
}

impl Words {
    /// Takes a command line apart.
    pub(super) fn of_command_line(line: &[u8]) -> Self {
        let mut found = Self { arguments: Vec::new(), variables: Vec::new(), wants_ledger: false };
        let mut words = CommandLine::new(line);
        while let Some(word) = words.next() {
            if word.is_separator() {
                found.arguments = words.map(|word| word.bytes().collect()).collect();
                break;
            }
            let word: Vec<u8> = word.bytes().collect();
            if let Some(variable) = word.strip_prefix(VARIABLE) {
                found.set(variable);
            }
        }
        if found.arguments.is_empty() {
            found.arguments.push(b"program".to_vec());
        }
        found
    }

    /// Returns the program's name.
    pub(super) fn name(&self) -> &[u8] {
        self.arguments.first().map_or(b"program", Vec::as_slice)
    }

    /// Sets a variable; the last one counts.
    fn set(&mut self, variable: &[u8]) {
        if let Some(value) = variable.strip_prefix(LEDGER) {
            self.wants_ledger = !matches!(value, b"" | b"0");
            return;
        }
        let name = variable.split_inclusive(|byte| *byte == b'=').next().unwrap_or(variable);
        self.variables.retain(|other| !other.starts_with(name));
        self.variables.push(variable.to_vec());
    }
}

/// Lays out the stack below `top` and returns the stack pointer.
pub(super) fn lay_out(top: u64, table: &ProgramTable, words: &Words) -> Result<u64, Errno> {
    let mut seed = [0; 16];
    // Without a source of chance a program starts all the same; it can ask itself.
    let _: Result<(), entropy::NoEntropy> = entropy::fill(&mut seed);

    let mut strings = Strings { top };
    let platform = strings.put(b"x86_64")?;
    let random = strings.put(&seed)?;
    let name = strings.put(words.name())?;
    let arguments = strings.put_all(&words.arguments)?;
    let variables = strings.put_all(&words.variables)?;

    let mut frame = vec![arguments.len() as u64];
    frame.extend(arguments);
    frame.push(0);
    frame.extend(variables);
    frame.push(0);
    frame.extend(auxiliary_vector(table, platform, random, name).as_flattened());
    let start = (strings.top - 8 * frame.len() as u64) & !15;
    user::write_words(start, &frame)?;
    Ok(start)
}

/// Strings at the upper end of the stack, each below the last.
struct Strings {
    top: u64,
}

impl Strings {
    fn put(&mut self, bytes: &[u8]) -> Result<u64, Errno> {
        self.top = self.top.checked_sub(bytes.len() as u64 + 1).ok_or(Errno::NoMemory)?;
        user::write(self.top, bytes)?;
        Ok(self.top)
    }

    fn put_all(&mut self, all: &[Vec<u8>]) -> Result<Vec<u64>, Errno> {
        all.iter().map(|bytes| self.put(bytes)).collect()
    }
}

fn auxiliary_vector(table: &ProgramTable, platform: u64, random: u64, name: u64) -> [[u64; 2]; 20] {
    let features = core::arch::x86_64::__cpuid(1).edx;
    [
        [auxiliary::HEADERS, table.headers],
        [auxiliary::HEADER_SIZE, u64::from(table.header_size)],
        [auxiliary::HEADER_COUNT, u64::from(table.header_count)],
        [auxiliary::PAGE_SIZE, PAGE_SIZE as u64],
        [auxiliary::BASE, 0],
        [auxiliary::FLAGS, 0],
        [auxiliary::ENTRY, table.entry],
        [auxiliary::USER, 0],
        [auxiliary::EFFECTIVE_USER, 0],
        [auxiliary::GROUP, 0],
        [auxiliary::EFFECTIVE_GROUP, 0],
        [auxiliary::PLATFORM, platform],
        [auxiliary::CAPABILITIES, u64::from(features)],
        [auxiliary::CLOCK_TICKS, CLOCK_TICKS],
        [auxiliary::SECURE, 0],
        [auxiliary::RANDOM, random],
        [auxiliary::CAPABILITIES_2, 0],
        [auxiliary::FILE_NAME, name],
        [auxiliary::SIGNAL_STACK, SIGNAL_STACK_BYTES],
        [0, 0],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_taken_apart() {
        let words =
            Words::of_command_line(b"net.ip=1 env.A=1 env.B=2 env.A=3 env.METAOS_LEDGER=1 -- ./p one");
        assert_eq!(words.arguments, [b"./p".to_vec(), b"one".to_vec()]);
        assert_eq!(words.variables, [b"B=2".to_vec(), b"A=3".to_vec()]);
        assert!(words.wants_ledger);
        assert_eq!(Words::of_command_line(b"").name(), b"program");
    }
}

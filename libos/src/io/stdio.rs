//! The console as standard input and output.

use super::error::Result;
use super::traits::{Read, Write};
use crate::task;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use services::io::console;
use services::machine;
use spin::Mutex;

/// End of transmission: what a terminal sends for Ctrl-D.
const END: u8 = 4;
/// Bytes that are taken from the console at a time.
const PIECE: usize = 256;

/// What was typed and not read yet.
static TYPED: Mutex<Typed> = Mutex::new(Typed { bytes: Vec::new(), has_ended: false });

struct Typed {
    bytes: Vec<u8>,
    has_ended: bool,
}

/// Standard input: what is typed on the console. It ends with a line that begins with Ctrl-D.
#[derive(Clone, Copy, Debug)]
pub struct Stdin(());

/// Standard output: the console. A line appears when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Stdout(());

/// Standard error: the console, too.
#[derive(Clone, Copy, Debug)]
pub struct Stderr(());

/// The lines of standard input, without their ends.
#[derive(Clone, Copy, Debug)]
pub struct Lines(Stdin);

/// Returns standard input.
#[must_use]
pub const fn stdin() -> Stdin {
    Stdin(())
}

/// Returns standard output.
#[must_use]
pub const fn stdout() -> Stdout {
    Stdout(())
}

/// Returns standard error.
#[must_use]
pub const fn stderr() -> Stderr {
    Stderr(())
}

/// What `print!` calls.
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    console::print(arguments);
}

/// What `println!` calls.
#[doc(hidden)]
pub fn print_line(arguments: fmt::Arguments<'_>) {
    console::print(arguments);
    console::write(b"\n");
}

impl Stdin {
    /// Appends one line with its end to `line` and returns how many bytes that is; 0 at the end of the input. Waits.
    ///
    /// # Errors
    ///
    /// None; what is no UTF-8 is replaced.
    pub fn read_line(&self, line: &mut String) -> Result<usize> {
        let bytes = read_up_to(usize::MAX, Some(b'\n'));
        line.push_str(&String::from_utf8_lossy(&bytes));
        Ok(bytes.len())
    }

    /// Returns the lines.
    #[must_use]
    pub const fn lines(self) -> Lines {
        Lines(self)
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let bytes = read_up_to(buffer.len(), None);
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Iterator for Lines {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                let length = line.trim_end_matches(['\n', '\r']).len();
                line.truncate(length);
                Some(Ok(line))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        console::write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        console::flush();
        Ok(())
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        console::write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        console::flush();
        Ok(())
    }
}

/// Takes up to `most` bytes, or up to and with the first `end`. Waits for them.
fn read_up_to(most: usize, end: Option<u8>) -> Vec<u8> {
    // A prompt stands there before one answers it.
    console::flush();
    loop {
        let seen = machine::info().event(console::INPUT_EVENT);
        let mut typed = TYPED.lock();
        typed.refill();
        if let Some(bytes) = typed.take(most, end) {
            return bytes;
        }
        drop(typed);
        task::wake_at_event(console::INPUT_EVENT, seen, task::current());
        task::block_until(task::NEVER);
    }
}

/// Tells whether reading would not wait.
pub(crate) fn is_input_ready() -> bool {
    let mut typed = TYPED.lock();
    typed.refill();
    typed.has_ended || !typed.bytes.is_empty()
}

impl Typed {
    fn refill(&mut self) {
        let mut piece = [0; PIECE];
        loop {
            match console::read(&mut piece) {
                0 => return,
                count => self.bytes.extend_from_slice(&piece[..count]),
            }
        }
    }

    /// Takes what was asked for if it is here; nothing at the end of the input.
    fn take(&mut self, most: usize, end: Option<u8>) -> Option<Vec<u8>> {
        if self.bytes.first() == Some(&END) {
            self.has_ended = true;
            self.bytes.clear();
        }
        if self.has_ended {
            return Some(Vec::new());
        }
        // A terminal sends a carriage return for the Enter key.
        for byte in &mut self.bytes {
            if *byte == b'\r' {
                *byte = b'\n';
            }
        }
        let length = match end {
            Some(end) => self
                .bytes
                .iter()
                .position(|byte| *byte == end || *byte == END)
                .map(|place| if self.bytes[place] == END { place } else { place + 1 })?,
            None if self.bytes.is_empty() => return None,
            None => self.bytes.iter().position(|byte| *byte == END).unwrap_or(self.bytes.len()),
        };
        Some(self.bytes.drain(..length.min(most)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Typed {
        Typed { bytes: bytes.to_vec(), has_ended: false }
    }

    #[test]
    fn a_line_is_taken_when_it_is_whole() {
        let mut input = typed(b"one\rtwo\nthr");
        assert_eq!(input.take(usize::MAX, Some(b'\n')).unwrap(), b"one\n");
        assert_eq!(input.take(usize::MAX, Some(b'\n')).unwrap(), b"two\n");
        assert_eq!(input.take(usize::MAX, Some(b'\n')), None);
        assert_eq!(input.take(2, None).unwrap(), b"th");
    }

    #[test]
    fn the_input_ends_with_ctrl_d() {
        let mut input = typed(b"last\x04rest");
        assert_eq!(input.take(usize::MAX, Some(b'\n')).unwrap(), b"last");
        assert_eq!(input.take(usize::MAX, Some(b'\n')).unwrap(), b"");
        assert_eq!(input.take(usize::MAX, Some(b'\n')).unwrap(), b"");
    }
}

//! The console: line-buffered output and polled input.
//!
//! Output is gathered until a line ends, because a Machine call a line is a tenth of a Machine call a fragment of a
//! format string. The program's end and a crash write out what is left.

use crate::machine;
use abi::info::EVENT_CONSOLE;
use core::fmt;
use spin::Mutex;

/// Event that counts typed input, see [`abi::InfoPage::event`].
pub const INPUT_EVENT: usize = EVENT_CONSOLE;

/// Bytes of a line that are gathered before they are written out anyway.
const LINE_BYTES: usize = 512;

struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

static LINE: Mutex<Line> = Mutex::new(Line { bytes: [0; LINE_BYTES], length: 0 });

/// Writes bytes; they appear when a line ends, the buffer is full or [`flush`] is called. Does not allocate.
pub fn write(bytes: &[u8]) {
    LINE.lock().write(bytes);
}

/// Formats and writes, as one piece.
pub fn print(arguments: fmt::Arguments<'_>) {
    let outcome = fmt::write(&mut *LINE.lock(), arguments);
    debug_assert!(outcome.is_ok(), "writing to the console does not fail");
}

/// Writes out what has been gathered.
pub fn flush() {
    LINE.lock().flush();
}

/// Writes out what has been gathered, unless a crash interrupted a write.
pub fn flush_in_crash() {
    if let Some(mut line) = LINE.try_lock() {
        line.flush();
    }
}

/// Takes typed bytes without waiting and returns how many. To wait, read the event total, call this, then
/// [`abi::Machine::wait`] for [`INPUT_EVENT`].
#[must_use]
pub fn read(buffer: &mut [u8]) -> usize {
    if buffer.is_empty() { 0 } else { machine::current().console_read(buffer).min(buffer.len()) }
}

impl Line {
    fn write(&mut self, bytes: &[u8]) {
        let Some(last_newline) = bytes.iter().rposition(|byte| *byte == b'\n') else {
            return self.gather(bytes);
        };
        let (lines, rest) = bytes.split_at(last_newline + 1);
        self.gather(lines);
        self.flush();
        self.gather(rest);
    }

    fn gather(&mut self, bytes: &[u8]) {
        if bytes.len() > LINE_BYTES - self.length {
            self.flush();
        }
        if bytes.len() > LINE_BYTES {
            return machine::current().console_write(bytes);
        }
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn flush(&mut self) {
        if self.length > 0 {
            machine::current().console_write(&self.bytes[..self.length]);
            self.length = 0;
        }
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn lines_come_out_whole_and_the_rest_with_a_flush() {
        let machine = crate::mock::install();
        let shown = || String::from_utf8_lossy(&machine.console.lock().unwrap()).into_owned();
        print(format_args!("{} and {}", "one", 1));
        assert!(!shown().contains("one and 1"));
        print(format_args!(", first line\nsecond "));
        assert!(shown().contains("one and 1, first line\n"));
        flush();
        assert!(shown().ends_with("second "));
        let long = "long ".repeat(300);
        write(long.as_bytes());
        flush();
        assert!(shown().ends_with(&long));
    }

    #[test]
    fn typed_bytes_are_read_and_an_empty_buffer_is_no_read() {
        crate::mock::install();
        let mut buffer = [0; 4];
        assert_eq!(read(&mut buffer), 1);
        assert_eq!(buffer[0], b'k');
        assert_eq!(read(&mut []), 0);
    }
}

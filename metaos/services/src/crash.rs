//! Ending a guest with a report.
//!
//! Text is put together in a buffer of fixed size: a crash may come from the allocator.

use crate::io::console;
use crate::machine;
use crate::memory::heap;
use abi::control::{CrashKind, MAX_TEXT_BYTES};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

/// Text of a report, cut at [`MAX_TEXT_BYTES`].
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; MAX_TEXT_BYTES],
    length: usize,
}

/// Set while a panic is reported: formatting its message may panic once more.
static IS_PANICKING: AtomicBool = AtomicBool::new(false);

/// Ends the guest because of a Rust panic. A failed allocation arrives here too on stable Rust, as a panic of the
/// standard library's own, and is reported as what it is.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    if IS_PANICKING.swap(true, Ordering::Relaxed) {
        end(CrashKind::Panic, "panic while a panic was reported");
    }
    console::flush_in_crash();
    let mut text = Text::new();
    text.push(format_args!("{}", info.message()));
    if let Some(bytes) = out_of_memory(text.as_str()) {
        let mut report = Text::new();
        report.push(format_args!(
            "no memory for {bytes} bytes, with {} bytes of heap; start the guest with more (-m)",
            heap::size()
        ));
        end(CrashKind::OutOfMemory, report.as_str());
    }
    if let Some(location) = info.location() {
        text.push(format_args!("\n  at {location}"));
    }
    end(CrashKind::Panic, text.as_str())
}

/// Ends the guest with a report. Before there is a machine nothing can be said, and the guest stops dead.
fn end(kind: CrashKind, text: &str) -> ! {
    match machine::try_current() {
        Some(machine) => machine.crash(kind, text),
        None => stop_dead(),
    }
}

/// Waits for ever: the last resort of a guest without a machine, which only a defect of the start routine can reach.
fn stop_dead() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Returns how many bytes were asked for if `message` is that of the default allocation error handler, for the
/// allocation that failed last.
fn out_of_memory(message: &str) -> Option<usize> {
    let bytes = heap::failed_bytes()?;
    let mut expected = Text::new();
    expected.push(format_args!("memory allocation of {bytes} bytes failed"));
    (message == expected.as_str()).then_some(bytes)
}

impl Text {
    /// Returns an empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; MAX_TEXT_BYTES], length: 0 }
    }

    /// Appends; what does not fit is cut off.
    pub fn push(&mut self, arguments: fmt::Arguments<'_>) {
        // An error says that the text was cut, or that a `Display` of the program failed; both leave a usable text.
        let _: fmt::Result = self.write_fmt(arguments);
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("")
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_TEXT_BYTES - self.length;
        let fitting = text.floor_char_boundary(room.min(text.len()));
        self.bytes[self.length..self.length + fitting].copy_from_slice(&text.as_bytes()[..fitting]);
        self.length += fitting;
        if fitting == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut text = Text::new();
        let long: String = "ä".repeat(MAX_TEXT_BYTES);
        text.push(format_args!("x{long}"));
        assert_eq!(text.as_str().chars().count(), MAX_TEXT_BYTES / 2);
        text.push(format_args!("more"));
        assert!(!text.as_str().contains("more"));
    }

    #[test]
    fn only_the_allocators_own_panic_is_out_of_memory() {
        assert_eq!(out_of_memory("index out of bounds"), None);
    }
}

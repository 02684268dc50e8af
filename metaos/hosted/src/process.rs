//! What the kernel hands a new process: arguments and environment, on its initial stack (System V ABI, AMD64
//! supplement, 3.4.1).

use core::ffi::{CStr, c_char};
use core::iter;

/// The initial stack. It stays for the life of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    words: *const usize,
    argument_count: usize,
}

impl Process {
    /// Reads the initial stack at `words`.
    ///
    /// # Safety
    ///
    /// `words` is the stack pointer at the process's start, and nobody has changed what stands above it.
    pub(crate) unsafe fn new(words: *const usize) -> Self {
        // SAFETY: the first word is the number of arguments.
        Self { words, argument_count: unsafe { words.read() } }
    }

    /// Returns the arguments; the first is the name of the program.
    pub(crate) fn arguments(self) -> impl Iterator<Item = &'static [u8]> {
        self.strings(1)
    }

    /// Returns the environment: `NAME=VALUE` each.
    pub(crate) fn environment(self) -> impl Iterator<Item = &'static [u8]> {
        // Behind the arguments stands a null pointer.
        self.strings(self.argument_count + 2)
    }

    /// Returns the strings that the words from `index` on point to, up to a null pointer.
    fn strings(self, index: usize) -> impl Iterator<Item = &'static [u8]> {
        let mut index = index;
        iter::from_fn(move || {
            // SAFETY: both lists end with a null pointer, behind which nothing is read.
            let string = unsafe { self.words.add(index).cast::<*const c_char>().read() };
            index += 1;
            // SAFETY: the kernel's strings end with a zero and stay for ever.
            (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_bytes())
        })
        .fuse()
    }
}

//! Arguments and variables, from the kernel command line. Shaped like `std::env`.
//!
//! What stands after the word `--` are the program's arguments, its name first; `env.NAME=VALUE` before it sets a
//! variable. Bytes that are no UTF-8 are replaced. Beyond `std::env` there is [`Options`], which takes arguments apart.

mod options;

use abi::cmdline::{Word, Words};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use services::machine;

pub use options::{OptionError, Options};

/// The program's arguments, its name first.
#[derive(Clone, Debug)]
pub struct Args {
    words: Words<'static>,
}

/// The program's variables.
#[derive(Clone, Debug)]
pub struct Vars {
    words: Words<'static>,
}

/// Why a variable has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VarError {
    /// It is not set.
    NotPresent,
}

/// Returns the program's arguments, its name first.
#[must_use]
pub fn args() -> Args {
    let mut words = Words::new(machine::current().command_line());
    words.by_ref().find(|word| word.is_separator());
    Args { words }
}

/// Returns the value of the variable `name`.
///
/// # Errors
///
/// It is not set.
pub fn var(name: &str) -> Result<String, VarError> {
    // The last one counts, as in a shell.
    vars().filter(|(other, _)| other == name).last().map(|(_, value)| value).ok_or(VarError::NotPresent)
}

/// Returns all variables with their values.
#[must_use]
pub fn vars() -> Vars {
    Vars { words: Words::new(machine::current().command_line()) }
}

/// Returns the words for the library OS as pairs of name and value.
pub(crate) fn settings() -> impl Iterator<Item = (String, String)> {
    Words::new(machine::current().command_line()).take_while(|word| !word.is_separator()).filter_map(setting)
}

fn setting(word: Word<'_>) -> Option<(String, String)> {
    let word = text(word);
    let (name, value) = word.split_once('=')?;
    Some((name.to_string(), value.to_string()))
}

fn text(word: Word<'_>) -> String {
    String::from_utf8_lossy(&word.bytes().collect::<Vec<u8>>()).into_owned()
}

impl Iterator for Args {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.words.next().map(text)
    }
}

impl Iterator for Vars {
    type Item = (String, String);

    fn next(&mut self) -> Option<(String, String)> {
        loop {
            let word = self.words.next()?;
            if word.is_separator() {
                self.words = Words::new(b"");
                return None;
            }
            if let Some((name, value)) = setting(word)
                && let Some(name) = name.strip_prefix("env.")
            {
                return Some((name.to_string(), value));
            }
        }
    }
}

impl fmt::Display for VarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the variable is not set")
    }
}

impl core::error::Error for VarError {}

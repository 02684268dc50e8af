//! The program's arguments as options: `--name VALUE` or `--name=VALUE` in any order, among words that stand for
//! themselves. What std leaves to crates that need std.
//!
//! Options are taken out one by one; what is left at the end was not understood.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// The arguments that were not taken yet.
#[derive(Clone, Debug)]
pub struct Options {
    words: Vec<String>,
}

/// An argument that the program cannot act on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OptionError {
    /// The option needs a value, and none follows.
    NoValue(&'static str),
    /// The option cannot have this value.
    BadValue(&'static str, String),
    /// Nobody took this word.
    NotUnderstood(String),
}

impl Options {
    /// Takes the program's arguments without its name.
    #[must_use]
    pub fn from_args() -> Self {
        Self::new(super::args().skip(1))
    }

    /// Takes words.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self { words: words.into_iter().collect() }
    }

    /// Takes the first word. To be called for the words that stand for themselves, after the options were taken.
    pub fn word(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Takes the option `name`, which starts with `--`, and its value. Of several the last counts.
    ///
    /// # Errors
    ///
    /// The value is missing or is none of this type.
    pub fn value<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, OptionError> {
        let mut last = None;
        while let Some(text) = self.text(name)? {
            last = Some(text.parse().map_err(|_| OptionError::BadValue(name, text))?);
        }
        Ok(last)
    }

    /// Checks that all was taken.
    ///
    /// # Errors
    ///
    /// Something is left.
    pub fn finish(mut self) -> Result<(), OptionError> {
        self.word().map_or(Ok(()), |word| Err(OptionError::NotUnderstood(word)))
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>, OptionError> {
        let value_of = |word: &str| word.strip_prefix(name)?.strip_prefix('=').map(String::from);
        let Some(index) = self.words.iter().position(|word| word == name || value_of(word).is_some()) else {
            return Ok(None);
        };
        let word = self.words.remove(index);
        if let Some(value) = value_of(&word) {
            return Ok(Some(value));
        }
        if index == self.words.len() {
            return Err(OptionError::NoValue(name));
        }
        Ok(Some(self.words.remove(index)))
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(name) => write!(f, "{name} needs a value behind it"),
            Self::BadValue(name, value) => write!(f, "{name} cannot be {value}"),
            Self::NotUnderstood(word) => write!(f, "{word} is not understood"),
        }
    }
}

impl core::error::Error for OptionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::new(line.split_whitespace().map(String::from))
    }

    #[test]
    fn options_and_words_come_in_any_order() {
        let mut options = options("client --count 5 tcp-rr --size=64 host");
        assert_eq!(options.value("--size"), Ok(Some(64_u32)));
        assert_eq!(options.value("--count"), Ok(Some(5_u64)));
        assert_eq!(options.value::<u16>("--port"), Ok(None));
        assert_eq!([options.word(), options.word()].map(Option::unwrap), ["client", "tcp-rr"]);
        assert_eq!(options.clone().finish(), Err(OptionError::NotUnderstood("host".into())));
        assert_eq!((options.word().as_deref(), options.word()), (Some("host"), None));
        assert_eq!(options.finish(), Ok(()));
    }

    #[test]
    fn of_several_the_last_counts() {
        let mut options = options("--port 1 --port=2 --port 3");
        assert_eq!(options.value("--port"), Ok(Some(3_u16)));
        assert_eq!(options.finish(), Ok(()));
    }

    #[test]
    fn a_wrong_option_is_named() {
        let error = |line, text: &str| {
            let mut options = options(line);
            let outcome = options.value::<u16>("--port").and_then(|_| options.finish());
            assert_eq!(alloc::format!("{}", outcome.unwrap_err()), text);
        };
        error("--port", "--port needs a value behind it");
        error("--port 65536", "--port cannot be 65536");
        error("--port=", "--port cannot be ");
        error("--ports 5", "--ports is not understood");
    }
}

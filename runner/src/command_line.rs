//! The kernel command line, put together word by word.
//!
//! Options of the machine and the library OS come first, then `--` and the program's arguments; the form is that
//! of [`abi::cmdline`], which reads it back in the guest. Whatever bytes a user types arrive as they were typed,
//! but for zero bytes, which end a command line in every boot protocol.

use std::fmt;

/// Longest command line that the guest's boot information has room for, in bytes.
pub const LONGEST: usize = abi::layout::BOOT_INFO_SIZE - size_of::<abi::BootInfo>();

/// Why a word cannot stand on a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandLineError {
    /// A word contains a zero byte.
    #[error(
        "an argument or environment value contains a zero byte, which no boot protocol carries; remove it"
    )]
    ZeroByte,
    /// All words together are too long.
    #[error(
        "arguments and environment take {0} bytes, more than the {LONGEST} a guest has room for; pass fewer"
    )]
    TooLong(usize),
}

/// A command line: options, then the program's arguments.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    options: Vec<String>,
    arguments: Vec<String>,
}

/// What a process is given in place of a command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ProcessWords {
    /// What stands before `--` on a command line, without the program's environment.
    pub(crate) options: String,
    /// The program's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The program's arguments; the first is its name.
    pub(crate) arguments: Vec<String>,
}

/// Start of a word with a variable of the program's environment.
const VARIABLE: &str = "env.";

impl CommandLine {
    /// Starts an empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the option `word` as it stands, for example `metaos.control=com2`.
    #[must_use]
    pub fn word(mut self, word: &str) -> Self {
        self.options.push(word.to_owned());
        self
    }

    /// Adds the option `name=value`.
    #[must_use]
    pub fn option(self, name: &str, value: impl fmt::Display) -> Self {
        self.word(&format!("{name}={value}"))
    }

    /// Adds a variable of the program's environment.
    #[must_use]
    pub fn environment(self, name: &str, value: &str) -> Self {
        self.option(&format!("{VARIABLE}{name}"), value)
    }

    /// Adds an argument of the program; the first is its name.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Puts the options of `other` before those of this line.
    #[must_use]
    pub(crate) fn preceded_by(mut self, other: Self) -> Self {
        self.options.splice(0..0, other.options);
        self
    }

    /// Tells whether the option `name` stands on the line.
    pub(crate) fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|word| word.split_once('=').is_some_and(|(key, _)| key == name))
    }

    /// Returns the line as a process takes it.
    ///
    /// # Errors
    ///
    /// As [`CommandLine::render`]: a process is not given more than a machine.
    pub(crate) fn split(&self) -> Result<ProcessWords, CommandLineError> {
        self.render()?;
        let is_variable = |word: &&String| word.starts_with(VARIABLE);
        let (variables, options): (Vec<&String>, Vec<&String>) = self.options.iter().partition(is_variable);
        let variables = variables.into_iter().filter_map(|word| word[VARIABLE.len()..].split_once('='));
        let options = Self { options: options.into_iter().cloned().collect(), arguments: Vec::new() };
        Ok(ProcessWords {
            options: options.render()?,
            environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            arguments: self.arguments.clone(),
        })
    }

    /// Returns the words that stand on the line, unquoted, with the separator where there are arguments.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.options.iter().map(String::as_str).collect();
        if !self.arguments.is_empty() {
            words.push("--");
            words.extend(self.arguments.iter().map(String::as_str));
        }
        words
    }

    /// Tells whether nothing stands on the line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.options.is_empty() && self.arguments.is_empty()
    }

    /// Returns the line as the loader hands it over.
    ///
    /// # Errors
    ///
    /// A word contains a zero byte, or the line is too long.
    pub fn render(&self) -> Result<String, CommandLineError> {
        let mut line = Vec::new();
        self.options.iter().for_each(|word| push_quoted(&mut line, word));
        if !self.arguments.is_empty() {
            line.extend_from_slice(b" --");
            self.arguments.iter().for_each(|word| push_quoted(&mut line, word));
        }
        if line.contains(&0) {
            return Err(CommandLineError::ZeroByte);
        }
        if line.len() > LONGEST {
            return Err(CommandLineError::TooLong(line.len()));
        }
        // Quoting puts only ASCII between the bytes of strings: nothing is lost here.
        Ok(String::from_utf8_lossy(&line).trim_start_matches(' ').to_owned())
    }
}

fn push_quoted(line: &mut Vec<u8>, word: &str) {
    line.push(b' ');
    abi::cmdline::quote(word.as_bytes(), |byte| line.push(byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(line: &str) -> Vec<String> {
        abi::cmdline::Words::new(line.as_bytes())
            .map(|word| String::from_utf8(word.bytes().collect()).unwrap())
            .collect()
    }

    #[test]
    fn what_the_user_typed_is_what_the_guest_reads() {
        let line = CommandLine::new()
            .option("net.ip", "10.0.2.15/24")
            .environment("GREETING", "good \"morning\"")
            .argument("hello")
            .argument("--")
            .argument("two words")
            .argument("")
            .argument("näher\\");
        assert_eq!(
            read_back(&line.render().unwrap()),
            [
                "net.ip=10.0.2.15/24",
                "env.GREETING=good \"morning\"",
                "--",
                "hello",
                "--",
                "two words",
                "",
                "näher\\"
            ]
        );
    }

    #[test]
    fn an_argument_of_two_dashes_is_not_taken_for_the_separator() {
        let line = CommandLine::new().argument("--").render().unwrap();
        let separators = abi::cmdline::Words::new(line.as_bytes()).filter(|word| word.is_separator()).count();
        assert_eq!(separators, 1);
    }

    #[test]
    fn a_process_is_given_what_stands_on_the_line_by_its_own_ways() {
        let line = CommandLine::new()
            .option("net.ip", "10.0.2.15/24")
            .environment("A", "b=c \"d\"")
            .option("net.dns", "two words")
            .argument("hello")
            .argument("two words");
        let words = line.split().unwrap();
        assert_eq!(words.options, "net.ip=10.0.2.15/24 \"net.dns=two words\"");
        assert_eq!(words.environment, [("A".to_owned(), "b=c \"d\"".to_owned())]);
        assert_eq!(words.arguments, ["hello", "two words"]);
        assert!(line.has_option("net.ip") && !line.has_option("net"));
        assert_eq!(CommandLine::new().argument("\0").split(), Err(CommandLineError::ZeroByte));
    }

    #[test]
    fn a_zero_byte_and_an_endless_line_are_refused() {
        assert_eq!(CommandLine::new().argument("a\0b").render(), Err(CommandLineError::ZeroByte));
        let long = CommandLine::new().argument(&"x".repeat(LONGEST)).render();
        assert!(matches!(long, Err(CommandLineError::TooLong(_))));
    }
}

//! Makes a disc that boots an image through GRUB, on BIOS and on UEFI.
//!
//! `grub-mkrescue` does the work. A disc cannot be told anything at its start, so its command line stands in its
//! `boot/grub/grub.cfg`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::builder::{BuildError, Mode};
use crate::command_line::{CommandLine, CommandLineError};
use crate::qemu::find_program;

/// Programs that are needed, the first found of each row.
pub(crate) const TOOLS: [&[&str]; 3] = [&["grub-mkrescue", "grub2-mkrescue"], &["xorriso"], &["mformat"]];

/// Why there is no disc.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// A tool is missing.
    #[error("`{0}` is not installed; run `cargo metaos doctor` to see how to get it")]
    MissingTool(&'static str),
    /// A tool failed.
    #[error("grub-mkrescue failed:\n{0}")]
    Failed(String),
    /// The command line cannot stand on a disc.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// GRUB drops empty words.
    #[error("GRUB passes no empty arguments on; leave them out")]
    EmptyWord,
    /// GRUB's configuration is made of lines.
    #[error("GRUB passes no arguments of several lines on; leave the line breaks out")]
    LineBreak,
    /// A file cannot be read or written.
    #[error("cannot make the disc: {0}")]
    File(#[from] io::Error),
    /// The disc cannot be put in its place.
    #[error(transparent)]
    Output(#[from] BuildError),
}

/// Writes a disc with `image` (linked for GRUB) and its command line to `output`.
///
/// # Errors
///
/// A tool is missing or fails, or a file cannot be written.
pub fn make(image: &Path, command_line: &CommandLine, output: &Path) -> Result<(), IsoError> {
    let tools: Vec<OsString> = TOOLS.into_iter().map(find_tool).collect::<Result<_, _>>()?;
    let directory = tempfile::tempdir()?;
    let tree = directory.path().join("tree");
    fs::create_dir_all(tree.join("boot/grub"))?;
    fs::copy(image, tree.join("boot/image"))?;
    fs::write(tree.join("boot/grub/grub.cfg"), configuration(command_line)?)?;
    let disc = directory.path().join("disc.iso");
    let made = Command::new(&tools[0]).arg("-o").args([&disc, &tree]).stdin(Stdio::null()).output()?;
    if !made.status.success() {
        return Err(IsoError::Failed(String::from_utf8_lossy(&made.stderr).trim().to_owned()));
    }
    Ok(crate::builder::put(output, &fs::read(&disc)?, Mode::Data)?)
}

/// Tells whether a file is a disc (ECMA-119, 8.1: the standard identifier of its first volume descriptor).
///
/// # Errors
///
/// The file cannot be read.
pub fn is_disc(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(16 * 2048 + 1))?;
    let mut identifier = [0; 5];
    match file.read_exact(&mut identifier) {
        Ok(()) => Ok(identifier == *b"CD001"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn find_tool(names: &'static [&'static str]) -> Result<OsString, IsoError> {
    let found = names.iter().find_map(|name| find_program(name));
    found.map(Into::into).ok_or(IsoError::MissingTool(names[0]))
}

/// Returns `grub.cfg`. GRUB takes its own quotes off and puts others on: backslashes before quotes, double quotes
/// around white space, which is what the guest reads.
fn configuration(command_line: &CommandLine) -> Result<String, IsoError> {
    command_line.render()?;
    let mut line = "multiboot2 /boot/image".to_owned();
    for word in command_line.words() {
        if word.is_empty() {
            return Err(IsoError::EmptyWord);
        }
        if word.contains(['\n', '\r']) {
            return Err(IsoError::LineBreak);
        }
        line += &format!(" '{}'", word.replace('\'', r"'\''"));
    }
    Ok(format!("{line}\nboot\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_grub() {
        let line =
            CommandLine::new().word("metaos.control=com2").argument("hello").argument("it's \"two\" words");
        assert_eq!(
            configuration(&line).unwrap(),
            "multiboot2 /boot/image 'metaos.control=com2' '--' 'hello' 'it'\\''s \"two\" words'\nboot\n"
        );
    }

    #[test]
    fn words_that_grub_would_lose_are_refused() {
        let refusal = |word: &str| configuration(&CommandLine::new().argument(word)).unwrap_err().to_string();
        assert!(refusal("").contains("empty"));
        assert!(refusal("a\nb").contains("line breaks"));
        assert!(refusal("\0").contains("zero byte"));
    }

    #[test]
    fn a_disc_is_told_from_an_image() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"\x7fELF").unwrap();
        assert!(!is_disc(file.path()).unwrap());
        let mut disc = vec![0; 16 * 2048 + 1];
        disc.extend(b"CD001");
        fs::write(file.path(), disc).unwrap();
        assert!(is_disc(file.path()).unwrap());
    }
}

//! Counts a guest's instructions: a plugin of QEMU's translator, compiled as it is needed, and the reader of its
//! counters.
//!
//! The plugin is `plugin.c`; why it is C: QEMU loads plugins as shared objects with C functions, and the runner needs
//! a C linker anyway. Its counters come over a unix socket, so that no memory is shared with QEMU and nothing runs
//! while a load is measured.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::qemu;

const SOURCE: &str = include_str!("plugin.c");
/// The first version of QEMU that has the counters the plugin uses.
const OLDEST: qemu::Version = qemu::Version { major: 9, minor: 0 };
/// How long QEMU may take to load the plugin.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it has.
const POLL: Duration = Duration::from_millis(2);
/// How long the plugin may take for an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Why instructions cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The compiler is missing or fails.
    #[error("the counter plugin could not be compiled: {0}; install a C compiler (gcc or clang)")]
    Compiler(String),
    /// QEMU is too old.
    #[error("QEMU {0} cannot count instructions; it takes {OLDEST} or newer")]
    OldQemu(qemu::Version),
    /// QEMU is missing.
    #[error(transparent)]
    Qemu(#[from] qemu::QemuError),
    /// The plugin does not answer.
    #[error("the counter plugin in QEMU does not answer: {0}")]
    Silent(#[from] io::Error),
    /// It answers with something else than counters.
    #[error("the counter plugin in QEMU answered `{0}`")]
    Nonsense(String),
}

/// Whether executions are counted by place, which a profile takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Totals.
    Totals,
    /// Totals, and each block of code.
    Blocks,
}

/// Executed instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// At addresses of the lower half: programs, and boot code before paging.
    pub lower: u64,
    /// At addresses of the upper half: the kernel, or nucleus.
    pub upper: u64,
}

impl Count {
    /// Returns all of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.lower + self.upper
    }

    /// Returns what was executed since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            lower: self.lower.saturating_sub(earlier.lower),
            upper: self.upper.saturating_sub(earlier.upper),
        }
    }
}

/// A block of code that was executed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// How often.
    pub executions: u64,
    /// Where it starts.
    pub address: u64,
    /// Sizes of its instructions, in bytes.
    pub sizes: Vec<u8>,
}

/// The compiled plugin.
#[derive(Clone, Debug)]
pub struct Plugin(PathBuf);

impl Plugin {
    /// Compiles the plugin into `directory`, unless it is there.
    ///
    /// # Errors
    ///
    /// There is no C compiler, or QEMU is too old.
    pub fn compile(directory: &Path) -> Result<Self, CounterError> {
        let version = qemu::version(&qemu::find()?)?;
        if version < OLDEST {
            return Err(CounterError::OldQemu(version));
        }
        let mut hasher = DefaultHasher::new();
        SOURCE.hash(&mut hasher);
        let path = directory.join(format!("counter-{:016x}.so", hasher.finish()));
        if !path.exists() {
            compile(directory, &path).map_err(|error| CounterError::Compiler(error.to_string()))?;
        }
        Ok(Self(path))
    }

    /// Returns QEMU's arguments that load the plugin; it will answer at `socket`.
    #[must_use]
    pub fn arguments(&self, socket: &Path, detail: Detail) -> [OsString; 2] {
        // A comma in a path would start another option.
        let plain = |path: &Path| path.display().to_string().replace(',', ",,");
        let blocks = match detail {
            Detail::Totals => "",
            Detail::Blocks => ",blocks=on",
        };
        ["-plugin".into(), format!("{},socket={}{blocks}", plain(&self.0), plain(socket)).into()]
    }
}

/// Compiles in a directory of its own and moves the result into place whole: several benchmarks may start at once.
fn compile(directory: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let scratch = tempfile::tempdir_in(directory)?;
    let (source, object) = (scratch.path().join("plugin.c"), scratch.path().join("plugin.so"));
    fs::write(&source, SOURCE)?;
    let output = Command::new("cc")
        .args(["-std=c11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread", "-o"])
        .args([&object, &source])
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    fs::rename(object, path)
}

/// A connection to the plugin in a running QEMU.
#[derive(Debug)]
pub struct Counter(BufReader<UnixStream>);

impl Counter {
    /// Connects to the plugin that answers at `socket`, waiting until QEMU has loaded it.
    ///
    /// # Errors
    ///
    /// It does not appear.
    pub fn connect(socket: &Path) -> Result<Self, CounterError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(socket) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(ANSWER))?;
                    return Ok(Self(BufReader::new(stream)));
                }
                Err(error) if Instant::now() >= deadline => return Err(error.into()),
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// Returns what was executed since the machine started.
    ///
    /// # Errors
    ///
    /// QEMU has ended.
    pub fn read(&mut self) -> Result<Count, CounterError> {
        self.0.get_mut().write_all(b"c")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        parse_count(&line).ok_or(CounterError::Nonsense(line))
    }

    /// Returns every block that was executed since the machine started; none if they are not counted.
    ///
    /// # Errors
    ///
    /// QEMU has ended.
    pub fn read_blocks(&mut self) -> Result<Vec<Block>, CounterError> {
        self.0.get_mut().write_all(b"p")?;
        let mut blocks = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            if line == "\n" {
                return Ok(blocks);
            }
            blocks.push(parse_block(&line).ok_or(CounterError::Nonsense(line))?);
        }
    }
}

fn parse_count(line: &str) -> Option<Count> {
    let (lower, upper) = line.trim_end().split_once(' ')?;
    Some(Count { lower: lower.parse().ok()?, upper: upper.parse().ok()? })
}

fn parse_block(line: &str) -> Option<Block> {
    let mut words = line.split_whitespace();
    let executions = words.next()?.parse().ok()?;
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let sizes = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Block { executions, address, sizes })
}

#[cfg(test)]
mod tests;

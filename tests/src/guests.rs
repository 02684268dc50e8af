//! Starts the guests of `tests/guests`, each made into an image with the nucleus.
//!
//! One call of cargo builds them all. A test runner that gives each test a process of its own (nextest) would make that
//! call a hundred times over, so the first process builds, under a file lock, and leaves a list of what there is; the
//! others of the same test run read the list. Images are linked without the checks of the machine code, which would
//! refuse these guests, and live as long as their machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use linker::{GuestPolicy, Input, Options};
use runner::builder::{build_binaries, build_nucleus};
use runner::workspace::Workspace;
use runner::{Accelerator, CommandLine, Image, Machine, MachineConfig, MachineError, Outcome, Symbols};
use tempfile::NamedTempFile;

const PACKAGE: &str = "metaos-test-guests";
const PROFILE: &str = "guest-test";
const MEMORY_MIB: u64 = 32;
/// A guest takes a tenth of a second; a machine that hangs is a failure to be seen before long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a guest is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In QEMU.
    Machine,
    /// By Linux.
    Process,
}

impl Place {
    fn accelerator(self) -> Accelerator {
        match self {
            Self::Machine => Accelerator::Tcg,
            Self::Process => Accelerator::Hosted,
        }
    }
}

/// What was built.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Built {
    nucleus: PathBuf,
    guests: BTreeMap<String, PathBuf>,
}

/// Runs a guest to its end. `directory` is one that cargo gives to tests (`CARGO_TARGET_TMPDIR`).
///
/// # Errors
///
/// The machine did not run, hung, or ended without a word.
///
/// # Panics
///
/// There is no such guest, or it cannot be built.
pub fn run(directory: &Path, name: &str, place: Place) -> Result<Outcome, MachineError> {
    run_with(directory, name, |config| config.accelerator = place.accelerator(), |_| ())
}

/// As [`run`], on a machine that `change` has changed, and with `act` to do while it runs.
///
/// # Errors
///
/// As [`run`].
///
/// # Panics
///
/// As [`run`].
pub fn run_with(
    directory: &Path,
    name: &str,
    change: impl FnOnce(&mut MachineConfig),
    act: impl FnOnce(&Machine),
) -> Result<Outcome, MachineError> {
    let built = built(directory);
    let guest = built.guests.get(name).expect("the guests of tests/guests are asked for by name");
    let image = link(directory, &built.nucleus, guest);
    let mut config = MachineConfig::new(Image::Kernel(image.path().to_owned()));
    config.memory_mib = MEMORY_MIB;
    config.command_line = CommandLine::new().argument(name);
    config.symbols =
        Symbols { nucleus: Some(built.nucleus.clone()), guest: Some(guest.clone()), program: None };
    change(&mut config);
    let machine = Machine::start(&config)?;
    act(&machine);
    machine.wait(TIMEOUT)
}

/// Returns the names of all guests.
///
/// # Panics
///
/// They cannot be built.
pub fn names(directory: &Path) -> impl Iterator<Item = &'static str> {
    built(directory).guests.keys().map(String::as_str)
}

fn link(directory: &Path, nucleus: &Path, guest: &Path) -> NamedTempFile {
    let read = |path: &Path| fs::read(path).expect("cargo has just built the file");
    let (nucleus_bytes, guest_bytes) = (read(nucleus), read(guest));
    let (nucleus_name, guest_name) = (nucleus.to_string_lossy(), guest.to_string_lossy());
    let options = Options { load_address: abi::layout::LOAD_DIRECT, guest_policy: GuestPolicy::Unchecked };
    let image = linker::link(
        &Input { name: &nucleus_name, bytes: &nucleus_bytes },
        &Input { name: &guest_name, bytes: &guest_bytes },
        &options,
    );
    let image = image.unwrap_or_else(|error| panic!("the image is refused: {error}"));
    let mut file = NamedTempFile::new_in(directory).expect("the directory for tests can be written to");
    file.write_all(&image.bytes).expect("the directory for tests has room for an image");
    file
}

fn built(directory: &Path) -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| build_once(directory))
}

/// Builds the guests unless another process of this test run has.
fn build_once(directory: &Path) -> Built {
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
    let lock =
        File::create(directory.join("guests.lock")).expect("the directory for tests can be written to");
    lock.lock().expect("the file system has locks");
    let list = directory.join("guests.list");
    if let Some(built) = fs::read_to_string(&list).ok().and_then(|text| Built::parse(&text, &run)) {
        return built;
    }
    let built = build();
    fs::write(&list, built.render(&run)).expect("the directory for tests can be written to");
    built
}

fn build() -> Built {
    let home = Workspace::home().unwrap_or_else(|error| panic!("{error}"));
    let nucleus = build_nucleus(&home).unwrap_or_else(|error| panic!("{error}"));
    let guests = build_binaries(&home, PACKAGE, PROFILE).unwrap_or_else(|error| panic!("{error}"));
    Built { nucleus, guests: guests.into_iter().collect() }
}

impl Built {
    /// Writes the list: a line for the test run, one for the nucleus, one a guest.
    fn render(&self, run: &str) -> String {
        let mut text = format!("{run}\n{}\n", self.nucleus.display());
        for (name, path) in &self.guests {
            text += &format!("{name}\t{}\n", path.display());
        }
        text
    }

    /// Reads a list, if it is of test run `run`.
    fn parse(text: &str, run: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != run {
            return None;
        }
        let nucleus = lines.next()?.into();
        let guests =
            lines.map(|line| line.split_once('\t').map(|(name, path)| (name.to_owned(), path.into())));
        Some(Self { nucleus, guests: guests.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_another_test_run_is_not_believed() {
        let guests = [("halt".to_owned(), "/target/halt".into()), ("two".to_owned(), "/a path/two".into())];
        let built = Built { nucleus: "/target/nucleus".into(), guests: guests.into() };
        let text = built.render("first");
        assert_eq!(Built::parse(&text, "first"), Some(built));
        assert_eq!(Built::parse(&text, "second"), None);
        assert_eq!(Built::parse("", "first"), None);
    }
}

//! The programs of `apps`, made into images as users get them.
//!
//! Every test of an image needs one, and a test runner that gives each test a process of its own (nextest) would call
//! cargo for each of them. So the first process of a test run builds under a file lock and leaves the run's name
//! beside the image; the others find it there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use runner::builder::build_binary;
use runner::workspace::{Program, Workspace};
use runner::{Accelerator, BuildRequest, CommandLine, Image, MachineConfig, Symbols, build_app, iso};

/// How an image is booted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boot {
    /// By QEMU's loader (PVH).
    Direct,
    /// By GRUB (multiboot2).
    Grub,
}

/// Where a program runs: what is promised holds in all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a machine, on TCG.
    Machine,
    /// As a Linux process.
    Process,
}

/// All places.
pub const PLACES: [Place; 2] = [Place::Machine, Place::Process];

/// Returns the image of program `name`. `directory` is one that cargo gives to tests (`CARGO_TARGET_TMPDIR`).
///
/// # Panics
///
/// There is no such program, or it cannot be built.
#[must_use]
pub fn image(directory: &Path, name: &str, boot: Boot) -> PathBuf {
    let (suffix, load_address) = match boot {
        Boot::Direct => ("", abi::layout::LOAD_DIRECT),
        Boot::Grub => ("-grub", abi::layout::LOAD_GRUB),
    };
    // The runner takes an image's name for the program's own: a folder tells the two ways to boot apart.
    let path = directory.join(format!("programs{suffix}/{name}.img"));
    once_a_run(&path, || {
        let home = Workspace::home().unwrap_or_else(|error| panic!("{error}"));
        let program = Program { package: name.to_owned(), binary: name.to_owned() };
        let request =
            BuildRequest { load_address, output: Some(path.clone()), ..BuildRequest::new(home, program) };
        drop(build_app(&request).unwrap_or_else(|error| panic!("{error}")));
    });
    path
}

/// Returns the default machine for program `name`, without network, that passes it `arguments`.
///
/// # Panics
///
/// There is no such program, or it cannot be built.
#[must_use]
pub fn machine(directory: &Path, name: &str, arguments: &[&str]) -> MachineConfig {
    let path = image(directory, name, Boot::Direct);
    let mut config = MachineConfig::new(Image::Kernel(path.clone()));
    config.symbols = Symbols::beside(&path);
    config.command_line =
        arguments.iter().fold(CommandLine::new().argument(name), |line, word| line.argument(word));
    config
}

/// Returns what [`machine`] does, for that place.
///
/// # Panics
///
/// There is no such program, or it cannot be built.
#[must_use]
pub fn guest(directory: &Path, place: Place, name: &str, arguments: &[&str]) -> MachineConfig {
    let accelerator = match place {
        Place::Machine => Accelerator::Tcg,
        Place::Process => Accelerator::Hosted,
    };
    MachineConfig { accelerator, ..machine(directory, name, arguments) }
}

/// Returns what [`guest`] does for a Linux process.
///
/// # Panics
///
/// There is no such program, or it cannot be built.
#[must_use]
pub fn hosted(directory: &Path, name: &str, arguments: &[&str]) -> MachineConfig {
    guest(directory, Place::Process, name, arguments)
}

/// Makes a disc of program `name` and returns the machine that boots it.
///
/// # Panics
///
/// The program cannot be built, or a tool that makes discs is missing.
#[must_use]
pub fn disc(directory: &Path, name: &str) -> MachineConfig {
    let path = image(directory, name, Boot::Grub);
    let disc = path.with_extension("iso");
    once_a_run(&disc, || {
        let option = String::from_utf8_lossy(abi::control::OPTION);
        let line = CommandLine::new().word(&option).argument(name);
        iso::make(&path, &line, &disc).unwrap_or_else(|error| panic!("{error}"));
    });
    let mut config = MachineConfig::new(Image::Cdrom(disc));
    config.symbols = Symbols::beside(&path);
    config
}

/// Returns the path of the command `cargo metaos`.
///
/// # Panics
///
/// It cannot be built.
#[must_use]
pub fn command(directory: &Path) -> PathBuf {
    let list = directory.join("command");
    once_a_run(&list, || {
        let home = Workspace::home().unwrap_or_else(|error| panic!("{error}"));
        let program = Program { package: "metaos-runner".to_owned(), binary: "cargo-metaos".to_owned() };
        let built = build_binary(&home, &program, "dev").unwrap_or_else(|error| panic!("{error}"));
        fs::write(&list, built.as_os_str().as_encoded_bytes())
            .expect("the directory for tests can be written to");
    });
    fs::read_to_string(&list).expect("it has just been written").into()
}

/// Makes `product` unless another process of this test run has.
pub(crate) fn once_a_run(product: &Path, make: impl FnOnce()) {
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| format!("process {}", std::process::id()));
    let folder = product.parent().expect("a product lies in a folder");
    fs::create_dir_all(folder).expect("the directory for tests can be written to");
    let mark = product.with_added_extension("run");
    let lock = File::create(product.with_added_extension("lock"))
        .expect("the directory for tests can be written to");
    lock.lock().expect("the file system has locks");
    if fs::read_to_string(&mark).is_ok_and(|made_by| made_by == run) {
        return;
    }
    make();
    fs::write(&mark, run).expect("the directory for tests can be written to");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_of_a_run_made_the_others_do_not_make_again() {
        let directory = tempfile::tempdir().unwrap();
        let product = directory.path().join("deep/product");
        let mut times = 0;
        for _ in 0..3 {
            once_a_run(&product, || times += 1);
        }
        assert_eq!(times, 1);
    }
}

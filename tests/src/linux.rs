//! Linux programs of `tests/linux`, compiled by the host's compilers as anybody would, and run unmodified.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use runner::builder::build_linux;
use runner::{Accelerator, CommandLine, Image, Machine, MachineConfig, Outcome, Symbols};

use crate::program::once_a_run;

/// Far more than a small program needs, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(60);

/// What compiles a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compiler {
    /// gcc, against glibc, at a fixed address.
    Glibc,
    /// gcc, against glibc, at any address.
    GlibcAnywhere,
    /// musl-gcc.
    Musl,
    /// rustc, with std.
    Rust,
}

impl Compiler {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Glibc, Self::GlibcAnywhere, Self::Musl, Self::Rust];

    fn command(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Glibc => ("gcc", &["-O1", "-static", "-no-pie"]),
            Self::GlibcAnywhere => ("gcc", &["-O1", "-static-pie"]),
            Self::Musl => ("musl-gcc", &["-O1", "-static"]),
            Self::Rust => ("rustc", &["-O", "-C", "target-feature=+crt-static"]),
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Rust => "rs",
            _ => "c",
        }
    }
}

/// Returns the static program of this source in `tests/linux`, or `None`, and says so, if the host has no such compiler.
/// `directory` is one that cargo gives to tests (`CARGO_TARGET_TMPDIR`).
///
/// # Panics
///
/// It does not compile.
#[must_use]
pub fn program(directory: &Path, name: &str, compiler: Compiler) -> Option<PathBuf> {
    let (command, options) = compiler.command();
    if Command::new(command).arg("--version").output().is_err() {
        println!("skipped: {command} is not installed, so {name} is not tried with it");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("linux/{name}.{}", compiler.ending()));
    let product = directory.join(format!("linux/{compiler:?}/{name}"));
    once_a_run(&product, || {
        let output = Command::new(command).args(options).arg(&source).arg("-o").arg(&product).output();
        let output = output.expect("the compiler has just been there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
    Some(product)
}

/// Returns the machine that runs `program` with these arguments, without network.
///
/// # Panics
///
/// There is no image of it to be made.
#[must_use]
pub fn machine(program: &Path, accelerator: Accelerator, arguments: &[&str]) -> MachineConfig {
    let image = program.with_added_extension("img");
    once_a_run(&image, || {
        drop(build_linux(program, Some(image.clone())).unwrap_or_else(|error| panic!("{error}")));
    });
    let name = program.to_string_lossy();
    let command_line = CommandLine::new().environment("GREETING", "good morning").argument(&name);
    MachineConfig {
        accelerator,
        symbols: Symbols::beside(&image),
        command_line: arguments.iter().fold(command_line, |line, word| line.argument(word)),
        ..MachineConfig::new(Image::Kernel(image))
    }
}

/// Runs a machine to its end.
///
/// # Panics
///
/// It did not start, hung, or ended without a word.
#[must_use]
pub fn run(config: &MachineConfig) -> Outcome {
    let machine = Machine::start(config).unwrap_or_else(|error| panic!("{error}"));
    machine.wait(LIMIT).unwrap_or_else(|error| panic!("{error}"))
}

//! The command line of `cargo metaos`: what can be said, and what comes of it.
//!
//! One file a subcommand. Each returns the status of the process; what goes wrong before a guest could end by itself
//! is one message on standard error and [`STATUS_FAILED`].

mod bench;
mod build;
mod choices;
mod doctor;
mod inspect;
mod run;
mod settings;
mod test;
mod tool;

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit status when no guest ran to an end that it could tell, as container runners have it.
pub const STATUS_FAILED: u8 = 125;
/// Exit status of a machine that was ended by a second Ctrl-C, as a shell shows it.
const STATUS_INTERRUPTED: u8 = 130;

/// What a subcommand comes to: the status of the process.
type Outcome = Result<u8, Box<dyn Error>>;

/// Builds programs into bootable images and runs them.
#[derive(Debug, Parser)]
#[command(name = "cargo metaos", bin_name = "cargo metaos", version, about)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds a program, or takes an image, and runs it in a machine
    Run(run::Run),
    /// Builds a program into an image
    Build(build::Build),
    /// Tells what an image is made of
    Inspect(inspect::Inspect),
    /// Tells what this system lacks, and how to get it
    Doctor,
    /// Measures our guest beside a stock Linux guest
    Bench(bench::Bench),
    /// Runs a program as a Linux process under perf, with its symbols
    Perf(tool::Tool),
    /// Runs a program as a Linux process under gdb, with its symbols
    Gdb(tool::Tool),
    /// Gets what the tests need and runs them
    Test(test::Test),
}

/// Does what the words of the command line say.
#[must_use]
pub fn main(words: Vec<OsString>) -> ExitCode {
    let outcome = match CommandLine::parse_from(own_words(words)).command {
        Command::Run(run) => run.execute(),
        Command::Build(build) => build.execute(),
        Command::Inspect(inspect) => inspect.execute(),
        Command::Doctor => doctor::execute(),
        Command::Bench(bench) => bench.execute(),
        Command::Perf(tool) => tool.execute(tool::Program::Perf),
        Command::Gdb(tool) => tool.execute(tool::Program::Gdb),
        Command::Test(test) => test.execute(),
    };
    let status = outcome.unwrap_or_else(|error| {
        eprintln!("metaos: {error}");
        STATUS_FAILED
    });
    ExitCode::from(status)
}

/// Cargo passes the subcommand's own name as the first argument.
fn own_words(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "metaos") {
        words.remove(1);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn cargo_and_the_shell_start_the_same_program() {
        let words = |line: &str| own_words(line.split(' ').map(OsString::from).collect());
        assert_eq!(words("cargo-metaos metaos run hello"), words("cargo-metaos run hello"));
        let parsed = CommandLine::try_parse_from(words(
            "cargo-metaos metaos run http -p 8080:80 -p 53/udp -m 1G -e A=b --machine microvm -- --flag value",
        ));
        let Command::Run(run) = parsed.unwrap().command else { panic!("run expected") };
        assert_eq!(format!("{run:?}").matches("Forward").count(), 2);
    }
}

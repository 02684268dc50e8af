//! `cargo metaos perf` and `cargo metaos gdb`: a guest as a Linux process under a tool that looks into it.
//!
//! What runs is the guest's unstripped ELF file, which starts under Linux as the image does and has its symbols in it, so
//! the tool needs no telling. The terminal belongs to the tool: the guest prints and reads there itself, nobody reads the
//! control channel, and Ctrl-C goes to both of them as to any two programs of a shell.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use clap::Args;
use signal_hook::consts::{SIGINT, SIGQUIT};

use super::run::{network, parse_memory};
use super::settings::Settings;
use super::{Outcome, STATUS_FAILED};
use crate::builder::{BuildRequest, build_app};
use crate::crash::Symbols;
use crate::hosted::{self, Control, Prepared};
use crate::install::{self, Need, Permission};
use crate::machine::{Accelerator, DEFAULT_MEMORY_MIB, Image, MachineConfig};
use crate::network::{Forward, Network};
use crate::workspace::find_program;

/// File that perf writes unless it is told otherwise.
const RECORDING: &str = "perf.data";

/// Which tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Program {
    Perf,
    Gdb,
}

/// Options of `perf` and `gdb`.
#[derive(Debug, Args)]
pub(super) struct Tool {
    /// Program of the workspace, or path of an image with its symbols beside it
    #[arg(value_name = "APP")]
    app: String,
    /// Publishes a port of the guest on this host
    #[arg(short = 'p', long = "publish", value_name = "[ADDR:]HOST:GUEST[/udp]")]
    publish: Vec<Forward>,
    /// Memory, in MiB or with a unit: 64, 64M, 1G
    #[arg(short = 'm', long = "memory", value_name = "MEM", value_parser = parse_memory, default_value_t = DEFAULT_MEMORY_MIB)]
    memory: u64,
    /// Network: user, user=passt, user=forwarder, tap=INTERFACE, peer=PATH, or none
    #[arg(long, value_name = "NET", default_value = "user")]
    net: Network,
    #[command(flatten)]
    settings: Settings,
    /// One more argument for the tool; for perf, the first replaces `record`
    #[arg(long = "tool-arg", value_name = "ARG", allow_hyphen_values = true)]
    tool_arguments: Vec<OsString>,
    /// Installs the tool through the system's package manager if it is missing
    #[arg(long)]
    install: bool,
}

impl Tool {
    pub(super) fn execute(self, program: Program) -> Outcome {
        let permission = if self.install { Permission::Granted } else { Permission::IfRoot };
        install::ensure(&[program.need()], permission)?;
        let (guest, name) = self.prepare()?;
        let config = MachineConfig {
            accelerator: Accelerator::Hosted,
            memory_mib: self.memory,
            network: network(&self.net, &self.publish, &self.settings)?,
            command_line: self.settings.command_line(&name),
            ..MachineConfig::new(Image::Kernel(guest))
        };
        let prepared = hosted::prepare(&config, Control::Absent)?;
        let mut command = program.command(&prepared, &self.tool_arguments);
        let (_companion, network) = prepared.hand_to(&mut command)?;
        if let Network::User(user) = &network {
            user.forwards.iter().for_each(|forward| eprintln!("metaos: publishes {forward}"));
        }
        // They are for the tool and the guest; a handler, unlike ignoring, does not pass to them.
        for signal in [SIGINT, SIGQUIT] {
            signal_hook::flag::register(signal, Arc::default())?;
        }
        let status = command.status()?;
        if program == Program::Perf && self.tool_arguments.is_empty() {
            eprintln!("metaos: look at it by `perf report -i {RECORDING}`");
        }
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(STATUS_FAILED))
    }

    /// Returns the guest's ELF file and the program's name.
    fn prepare(&self) -> Result<(PathBuf, String), Box<dyn std::error::Error>> {
        let path = PathBuf::from(&self.app);
        let (symbols, name) = if path.is_file() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (Symbols::beside(&path), name)
        } else {
            let found = find_program(&self.app)?;
            let name = found.program.binary.clone();
            (build_app(&BuildRequest::new(found.workspace, found.program))?.symbols, name)
        };
        let missing = || format!("there are no symbols beside {}; give the program by its name", self.app);
        Ok((symbols.guest.ok_or_else(missing)?, name))
    }
}

impl Program {
    fn need(self) -> Need {
        match self {
            Self::Perf => Need::Perf,
            Self::Gdb => Need::Gdb,
        }
    }

    fn command(self, guest: &Prepared, arguments: &[OsString]) -> Command {
        match self {
            Self::Perf => perf(guest, arguments),
            Self::Gdb => gdb(guest, arguments),
        }
    }
}

/// perf passes its own environment on.
fn perf(guest: &Prepared, arguments: &[OsString]) -> Command {
    let mut command = Command::new("perf");
    match arguments {
        [] => command.args(["record", "-o", RECORDING]),
        arguments => command.args(arguments),
    };
    command.arg("--").arg(guest.program.path()).args(guest.words.arguments.iter().skip(1));
    command.env_clear().envs(guest.environment());
    command
}

/// gdb needs its environment, so the guest's is said to it.
fn gdb(guest: &Prepared, arguments: &[OsString]) -> Command {
    let mut command = Command::new("gdb");
    command.args(["-q", "-iex", "set confirm off", "-iex", "set startup-with-shell off"]);
    command.args(["-ex", "unset environment"]);
    for (name, value) in guest.environment() {
        command.args(["-ex", &format!("set environment {name}={value}")]);
    }
    command.args(arguments).arg("--args").arg(guest.program.path());
    command.args(guest.words.arguments.iter().skip(1));
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::CommandLine;

    /// This test's own program stands for a guest: nothing runs.
    fn words(program: Program, arguments: &[&str]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app");
        let mut header = b"\x7fELF".to_vec();
        header.resize(24, 0);
        header.extend(abi::layout::GUEST_IMAGE.0.to_le_bytes());
        std::fs::write(&file, header).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let config = MachineConfig {
            command_line: CommandLine::new().environment("A", "b c").argument("app").argument("two words"),
            ..MachineConfig::new(Image::Kernel(file.clone()))
        };
        let prepared = hosted::prepare(&config, Control::Absent).unwrap();
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let command = program.command(&prepared, &arguments);
        let words: Vec<String> = command.get_args().map(|word| word.display().to_string()).collect();
        words.join("|").replace(&file.display().to_string(), "APP")
    }

    #[test]
    fn perf_records_unless_it_is_told_otherwise() {
        assert_eq!(words(Program::Perf, &[]), "record|-o|perf.data|--|APP|two words");
        assert_eq!(words(Program::Perf, &["stat", "-d"]), "stat|-d|--|APP|two words");
    }

    #[test]
    fn gdb_is_told_the_guests_environment() {
        let line = words(Program::Gdb, &["-batch"]);
        assert!(line.contains("-ex|unset environment|-ex|set environment A=b c|"), "{line}");
        assert!(line.contains("-ex|set environment METAOS=metaos.memory=67108864|"), "{line}");
        assert!(line.ends_with("|-batch|--args|APP|two words"), "{line}");
    }
}

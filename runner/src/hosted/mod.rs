//! Starts a guest as a Linux process: the image file itself, executed, with what
//! [`abi::hosted`] says it must find open and in its environment.
//!
//! No VMM, no rights. The process has no open file but the console, the control channel and its network, each under
//! its fixed number, and no variable but those the user gave it and the one with its options. Who carries its packets
//! is decided in `network`; whoever does it on this side of the socket is the machine's `Companion`.

mod image;
mod network;
mod passt;
mod peer;
mod probe;
mod tap;

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use abi::hosted::descriptor;
use command_fds::{CommandFdExt, FdMapping};

pub use image::{ImageError, has_linux_start};
pub use network::{PlugError, describe as describe_network};
pub use passt::{PasstError, find as find_passt};
pub use probe::{HostedRefusal, probe};

pub(crate) use network::Companion;

use crate::command_line::{CommandLine, CommandLineError, ProcessWords};
use crate::machine::{
    Channel, Firmware, Image, MachineConfig, MachineError, MachineKind, Process, Started, Transport,
};
use crate::network::Network;
use image::Executable;
use network::Plug;

/// Why a configuration is no process.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// Something that only a machine has was asked for.
    #[error("a guest that runs as a process has no {0}; leave it out, or choose --accel tcg")]
    MachineOnly(&'static str),
    /// A disc.
    #[error("a disc boots in a machine only; choose --accel tcg, or give the image")]
    Disc,
    /// QEMU's door for debuggers.
    #[error("a guest that runs as a process is debugged by `cargo metaos gdb APP`; or choose --accel tcg")]
    Debugger,
    /// The image is not one that Linux can start.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// There is no such network.
    #[error(transparent)]
    Network(#[from] PlugError),
    /// The command line cannot be handed over.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
}

/// A guest that can be started as a process, by itself or by a tool.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What is executed.
    pub(crate) program: Executable,
    /// Its options, environment and arguments.
    pub(crate) words: ProcessWords,
    /// What it finds at [`descriptor::NETWORK`].
    pub(crate) socket: Option<OwnedFd>,
    /// Its network, with the ports that were found.
    pub(crate) network: Network,
    /// Who carries its packets.
    pub(crate) companion: Option<Box<dyn Companion>>,
}

/// Whether somebody reads the control channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// The runner does.
    Read,
    /// Nobody does: a crash is printed on standard error.
    Absent,
}

/// Starts the guest that `config` describes.
pub(crate) fn start(config: &MachineConfig) -> Result<Started, MachineError> {
    let prepared = prepare(config, Control::Read)?;
    let (console, console_ends) = Channel::of_pipes()?;
    let (control, control_end) = socket_channel()?;
    let mut descriptors: Vec<(OwnedFd, RawFd)> = vec![
        (console_ends.input, descriptor::INPUT),
        (console_ends.output, descriptor::OUTPUT),
        (control_end, descriptor::CONTROL),
    ];
    let (command, typed) = (prepared.command(), prepared.typed());
    descriptors.extend(prepared.socket.map(|socket| (socket, descriptor::NETWORK)));
    let (process, errors) = Process::start(command, descriptors)?;
    let Prepared { network, companion, .. } = prepared;
    Ok(Started { command: typed, process, errors, console, control, network, companion })
}

/// Checks `config` and makes everything ready but the process.
pub(crate) fn prepare(config: &MachineConfig, control: Control) -> Result<Prepared, HostedError> {
    let image = check(config)?;
    let program = Executable::open(image)?;
    let Plug { socket, words, network, companion } = network::plug(&config.network, &config.command_line)?;
    let line = config.command_line.clone().preceded_by(own_words(config, control)).preceded_by(words);
    Ok(Prepared { program, words: line.split()?, socket, network, companion })
}

impl Prepared {
    /// Returns the command that starts the guest by itself.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.program.path());
        let mut arguments = self.words.arguments.iter();
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command.args(arguments).env_clear().envs(self.environment());
        command
    }

    /// Puts what the guest finds open under its numbers in `command`, which passes them on, and returns who carries the
    /// packets meanwhile, with the network.
    pub(crate) fn hand_to(self, command: &mut Command) -> io::Result<(Option<Box<dyn Companion>>, Network)> {
        let numbers =
            self.socket.map(|socket| FdMapping { parent_fd: socket, child_fd: descriptor::NETWORK });
        command.fd_mappings(numbers.into_iter().collect()).map_err(io::Error::other)?;
        Ok((self.companion, self.network))
    }

    /// Returns the command as one would type it.
    fn typed(&self) -> String {
        let variables =
            self.environment().map(|(name, value)| format!("{name}={value:?} ")).collect::<String>();
        let arguments =
            self.words.arguments.iter().skip(1).map(|word| format!(" {word:?}")).collect::<String>();
        format!("env -i {variables}{}{arguments}", self.program.path().display())
    }

    /// Returns all variables of the process.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.words.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // The last of a name counts: nobody's variable may take the place of the options.
        own.chain([(text(abi::hosted::OPTIONS), self.words.options.as_str())])
    }
}

fn check(config: &MachineConfig) -> Result<&PathBuf, HostedError> {
    let Image::Kernel(image) = &config.image else { return Err(HostedError::Disc) };
    let wishes = [
        (config.kind != MachineKind::default(), "machine (--machine)"),
        (config.firmware != Firmware::default(), "firmware (--firmware)"),
        (config.transport != Transport::default(), "transport (--transport)"),
        (config.qmp.is_some(), "QMP socket"),
        (!config.extra_arguments.is_empty(), "arguments for QEMU (--qemu-arg)"),
    ];
    match wishes.into_iter().find(|(is_wished, _)| *is_wished) {
        Some((_, what)) => Err(HostedError::MachineOnly(what)),
        None if config.debugger_port.is_some() => Err(HostedError::Debugger),
        None => Ok(image),
    }
}

fn own_words(config: &MachineConfig, control: Control) -> CommandLine {
    let line = match control {
        Control::Read => CommandLine::new().word(text(abi::hosted::CONTROL_OPTION)),
        Control::Absent => CommandLine::new(),
    };
    let bytes = config.memory_mib.saturating_mul(1 << 20);
    line.word(&format!("{}{bytes}", text(abi::hosted::MEMORY_OPTION)))
}

fn socket_channel() -> io::Result<(Channel, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    let ours = OwnedFd::from(ours);
    let channel = Channel { from_machine: ours.try_clone()?.into(), to_machine: ours.into() };
    Ok((channel, theirs.into()))
}

/// Returns the option that makes a guest's time and chance up.
pub(crate) fn seed_word(seed: u64) -> String {
    format!("{}{seed}", text(abi::hosted::SEED_OPTION))
}

/// The names of the contract are ASCII.
fn text(name: &'static [u8]) -> &'static str {
    std::str::from_utf8(name).expect("the names of the contract are ASCII")
}

#[cfg(test)]
mod tests;

//! Starts a machine in QEMU.

use std::os::fd::{OwnedFd, RawFd};
use std::process::Command;

use super::MachineError;
use super::arguments::{CONSOLE, CONTROL, ChannelDescriptors, arguments};
use super::config::MachineConfig;
use super::process::Process;
use super::started::{Channel, PipeEnds, Started};
use crate::network::{Network, NetworkError};
use crate::qemu;

/// Starts the machine that `config` describes.
pub(super) fn start(config: &MachineConfig) -> Result<Started, MachineError> {
    let mut config = config.clone();
    claim_ports(&mut config.network)?;
    let words = arguments(&config)?;
    let mut command = Command::new(qemu::find()?);
    command.args(&words);
    let typed: Vec<String> = words.iter().map(|word| word.display().to_string()).collect();
    let typed = format!("{} {}", qemu::PROGRAM, typed.join(" "));
    let (console, console_ends) = Channel::of_pipes()?;
    let (control, control_ends) = Channel::of_pipes()?;
    let descriptors = numbered(console_ends, CONSOLE).into_iter().chain(numbered(control_ends, CONTROL));
    let (process, errors) = Process::start(command, descriptors.collect())?;
    Ok(Started {
        command: typed,
        process,
        errors,
        console,
        control,
        network: config.network,
        companion: None,
    })
}

fn numbered(ends: PipeEnds, descriptors: ChannelDescriptors) -> [(OwnedFd, RawFd); 2] {
    [(ends.output, descriptors.output), (ends.input, descriptors.input)]
}

fn claim_ports(network: &mut Network) -> Result<(), NetworkError> {
    let Network::User(user) = network else { return Ok(()) };
    for forward in &mut user.forwards {
        *forward = forward.with_free_port()?;
    }
    Ok(())
}

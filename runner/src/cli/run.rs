//! `cargo metaos run`: builds what is to be built, starts a machine, and ends as the guest ends.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::choices::{AcceleratorWord, FirmwareWord, MachineWord, TransportWord};
use super::settings::Settings;
use super::{Outcome, STATUS_INTERRUPTED};
use crate::builder::{BuildRequest, build_app};
use crate::crash::Symbols;
use crate::install::{self, Need, Permission};
use crate::iso;
use crate::kvm;
use crate::machine::{Console, DEFAULT_MEMORY_MIB, Image, Machine, MachineConfig, MachineError, arguments};
use crate::network::{Forward, Network, UserNetwork};
use crate::signal;
use crate::workspace::find_program;

/// Options of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Program of the workspace, or path of an image or disc
    #[arg(value_name = "APP")]
    app: String,
    /// Publishes a port of the guest on this host
    #[arg(short = 'p', long = "publish", value_name = "[ADDR:]HOST:GUEST[/udp]")]
    publish: Vec<Forward>,
    /// Memory, in MiB or with a unit: 64, 64M, 1G
    #[arg(short = 'm', long = "memory", value_name = "MEM", value_parser = parse_memory, default_value_t = DEFAULT_MEMORY_MIB)]
    memory: u64,
    /// Machine to run on
    #[arg(long, default_value = "q35")]
    machine: MachineWord,
    /// Firmware to boot with; qboot for images, seabios for discs, unless said otherwise
    #[arg(long)]
    firmware: Option<FirmwareWord>,
    /// How virtio devices are attached
    #[arg(long, default_value = "pci")]
    transport: TransportWord,
    /// What executes the machine's instructions
    #[arg(long, default_value = "auto")]
    accel: AcceleratorWord,
    /// Network: user (no rights needed), tap=INTERFACE, or none
    #[arg(long, value_name = "NET", default_value = "user")]
    net: Network,
    #[command(flatten)]
    settings: Settings,
    /// Waits for a debugger before the first instruction, and prints how to attach it
    #[arg(long)]
    gdb: bool,
    /// Installs QEMU through the system's package manager if it is missing
    #[arg(long)]
    install: bool,
    /// Says what is done
    #[arg(short = 'v', long)]
    verbose: bool,
    /// One more argument for QEMU, as it stands
    #[arg(long = "qemu-arg", value_name = "ARG", allow_hyphen_values = true)]
    extra_arguments: Vec<OsString>,
}

/// An image and what belongs to it.
struct Ready {
    image: Image,
    name: String,
    symbols: Symbols,
}

impl Run {
    pub(super) fn execute(self) -> Outcome {
        let permission = if self.install { Permission::Granted } else { Permission::IfRoot };
        install::ensure(&[Need::Qemu], permission)?;
        let ready = self.prepare()?;
        let config = self.config(&ready)?;
        if self.verbose {
            let words: Vec<String> =
                arguments(&config)?.iter().map(|word| word.display().to_string()).collect();
            eprintln!("metaos: {} {}", crate::qemu::PROGRAM, words.join(" "));
        }
        let machine = Machine::start(&config)?;
        signal::steer(machine.handle())?;
        announce(&machine, &config);
        conclude(machine.wait(Duration::MAX))
    }

    fn prepare(&self) -> Result<Ready, Box<dyn std::error::Error>> {
        let path = Path::new(&self.app);
        if path.is_file() {
            return Ok(existing(path)?);
        }
        let found = find_program(&self.app)?;
        let name = found.program.binary.clone();
        let built = build_app(&BuildRequest::new(found.workspace, found.program))?;
        if self.verbose {
            eprintln!("metaos: built {}\n{}", built.image.display(), built.report);
        }
        Ok(Ready { image: Image::Kernel(built.image), name, symbols: built.symbols })
    }

    fn config(&self, ready: &Ready) -> Result<MachineConfig, Box<dyn std::error::Error>> {
        let (accelerator, refusal) = kvm::choose(self.accel.into())?;
        if let Some(refusal) = refusal {
            eprintln!("metaos: runs on TCG: {refusal}");
        }
        let defaults = MachineConfig::new(ready.image.clone());
        let command_line = match ready.image {
            Image::Cdrom(_) if self.settings.is_empty() => defaults.command_line.clone(),
            _ => self.settings.command_line(&ready.name),
        };
        Ok(MachineConfig {
            kind: self.machine.into(),
            firmware: self.firmware.map_or(defaults.firmware, Into::into),
            transport: self.transport.into(),
            accelerator,
            memory_mib: self.memory,
            network: self.network()?,
            command_line,
            console: Console::Terminal,
            symbols: ready.symbols.clone(),
            debugger_port: if self.gdb { Some(free_port()?) } else { None },
            extra_arguments: self.extra_arguments.clone(),
            ..defaults
        })
    }

    fn network(&self) -> Result<Network, &'static str> {
        match &self.net {
            Network::User(_) => Ok(Network::User(UserNetwork {
                forwards: self.publish.clone(),
                address: self.settings.address,
                gateway: self.settings.gateway,
            })),
            other if self.publish.is_empty() => Ok(other.clone()),
            _ => Err("-p publishes ports of the user network; leave it out, or choose --net user"),
        }
    }
}

fn existing(path: &Path) -> io::Result<Ready> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let image =
        if iso::is_disc(path)? { Image::Cdrom(path.to_owned()) } else { Image::Kernel(path.to_owned()) };
    Ok(Ready { image, name, symbols: Symbols::beside(path) })
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn announce(machine: &Machine, config: &MachineConfig) {
    for forward in machine.forwards() {
        eprintln!("metaos: publishes {forward}");
    }
    if let Some(port) = config.debugger_port {
        eprintln!(
            "metaos: waits for a debugger; attach it by the following line, and set breakpoints with hbreak\n\n    {}\n",
            debugger_line(port, &config.symbols)
        );
    }
}

fn debugger_line(port: u16, symbols: &Symbols) -> String {
    let quoted = |path: &PathBuf| path.display().to_string().replace('\'', r"'\''");
    let mut line = "gdb".to_owned();
    if let Some(nucleus) = &symbols.nucleus {
        line += &format!(" -ex 'add-symbol-file {}'", quoted(nucleus));
    }
    line += &format!(" -ex 'target remote 127.0.0.1:{port}'");
    if let Some(guest) = &symbols.guest {
        line += &format!(" '{}'", quoted(guest));
    }
    line
}

fn conclude(result: Result<crate::machine::Outcome, MachineError>) -> Outcome {
    match result {
        Ok(outcome) => {
            if let Some(crash) = outcome.crash {
                eprintln!("metaos: {}", crash.to_string().trim_end());
            }
            Ok(outcome.status)
        }
        Err(MachineError::Killed) => Ok(STATUS_INTERRUPTED),
        // The console has been shown already.
        Err(MachineError::Silent { status, errors, .. }) => {
            Err(Box::new(MachineError::Silent { status, errors, console: String::new() }))
        }
        Err(error) => Err(Box::new(error)),
    }
}

/// Reads an amount of memory and returns it in MiB.
fn parse_memory(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'M' | 'm')) => (&text[..at], 1),
        Some((at, 'G' | 'g')) => (&text[..at], 1024),
        _ => (text, 1),
    };
    let amount = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match amount {
        Some(amount @ 1..=0x10_0000) => Ok(amount),
        _ => Err("an amount of memory is written 64, 64M or 1G, and is at most 1024G".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_written_in_mib_or_with_a_unit() {
        assert_eq!(parse_memory("64"), Ok(64));
        assert_eq!(parse_memory("64M"), Ok(64));
        assert_eq!(parse_memory("8m"), Ok(8));
        assert_eq!(parse_memory("1G"), Ok(1024));
        for text in ["", "0", "M", "-1", "64K", "1.5G", "18446744073709551615G", "64MB", "2048G"] {
            assert!(parse_memory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_debugger_is_given_both_programs() {
        let symbols = Symbols { nucleus: Some("/t/nucleus".into()), guest: Some("/t/it's".into()) };
        assert_eq!(
            debugger_line(1234, &symbols),
            r"gdb -ex 'add-symbol-file /t/nucleus' -ex 'target remote 127.0.0.1:1234' '/t/it'\''s'"
        );
    }
}

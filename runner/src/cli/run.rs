//! `cargo metaos run`: builds what is to be built, starts a machine, and ends as the guest ends.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::ArgPredicate;

use super::choices::{AcceleratorWord, FirmwareWord, MachineWord, TransportWord};
use super::settings::Settings;
use super::{Outcome, STATUS_INTERRUPTED};
use crate::builder::{BuildRequest, build_app, build_linux, is_linux_program};
use crate::crash::Symbols;
use crate::hosted;
use crate::install::{self, Need, Permission};
use crate::iso;
use crate::machine::{Accelerator, Console, DEFAULT_MEMORY_MIB, Image, Machine, MachineConfig, MachineError};
use crate::network::{Forward, Network, UserNetwork};
use crate::place::{self, Place, ThisHost, Wishes};
use crate::signal;
use crate::workspace::find_program;

/// Options of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Program of the workspace, or path of an image, a disc or a static Linux program
    #[arg(value_name = "APP")]
    app: String,
    /// Publishes a port of the guest on this host
    #[arg(short = 'p', long = "publish", value_name = "[ADDR:]HOST:GUEST[/udp]")]
    publish: Vec<Forward>,
    /// Memory, in MiB or with a unit: 64, 64M, 1G
    #[arg(short = 'm', long = "memory", value_name = "MEM", value_parser = parse_memory, default_value_t = DEFAULT_MEMORY_MIB)]
    memory: u64,
    /// Machine to run on; q35, unless said otherwise
    #[arg(long)]
    machine: Option<MachineWord>,
    /// Firmware to boot with; qboot for images, seabios for discs, unless said otherwise
    #[arg(long)]
    firmware: Option<FirmwareWord>,
    /// How virtio devices are attached; pci, unless said otherwise
    #[arg(long)]
    transport: Option<TransportWord>,
    /// What executes the machine's instructions
    #[arg(long, default_value = "auto")]
    accel: AcceleratorWord,
    /// Network: user (no rights needed), tap=INTERFACE, peer=PATH (another hosted guest), or none; for a hosted guest,
    /// user=passt and user=forwarder say who carries its packets
    #[arg(
        long,
        value_name = "NET",
        default_value = "user",
        default_value_if("seed", ArgPredicate::IsPresent, "none")
    )]
    net: Network,
    #[command(flatten)]
    settings: Settings,
    /// Lets time and chance follow from this number, so that the run repeats bit for bit; hosted, without network
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Waits for a debugger before the first instruction, and prints how to attach it
    #[arg(long)]
    gdb: bool,
    /// Installs QEMU, where it is needed, through the system's package manager if it is missing
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
        let ready = self.prepare()?;
        let place = place::choose(self.accel.into(), self.wishes(&ready), &ThisHost)?;
        if place.accelerator != Accelerator::Hosted {
            let permission = if self.install { Permission::Granted } else { Permission::IfRoot };
            install::ensure(&[Need::Qemu], permission)?;
        }
        let config = self.config(&ready, place.accelerator)?;
        // Who named the place knows.
        if self.verbose || matches!(self.accel, AcceleratorWord::Auto) {
            eprintln!("metaos: {}", where_and_why(&place, &config.network));
        }
        let machine = Machine::start(&config)?;
        signal::steer(machine.handle())?;
        if self.verbose {
            eprintln!("metaos: {}", machine.command());
        }
        announce(&machine, &config);
        conclude(machine.wait(Duration::MAX))
    }

    fn prepare(&self) -> Result<Ready, Box<dyn std::error::Error>> {
        let path = Path::new(&self.app);
        if path.is_file() {
            return match is_linux_program(path) {
                true => self.around_linux_program(path),
                false => Ok(existing(path)?),
            };
        }
        let found = find_program(&self.app)?;
        let name = found.program.binary.clone();
        let built = build_app(&BuildRequest::new(found.workspace, found.program))?;
        if self.verbose {
            eprintln!("metaos: built {}\n{}", built.image.display(), built.report);
        }
        Ok(Ready { image: Image::Kernel(built.image), name, symbols: built.symbols })
    }

    fn around_linux_program(&self, path: &Path) -> Result<Ready, Box<dyn std::error::Error>> {
        let built = build_linux(path, None)?;
        if self.verbose {
            eprintln!("metaos: built {}\n{}", built.image.display(), built.report);
        }
        Ok(Ready { image: Image::Kernel(built.image), name: self.app.clone(), symbols: built.symbols })
    }

    /// Returns what was asked for that not every place has.
    fn wishes(&self, ready: &Ready) -> Wishes {
        let image = match &ready.image {
            Image::Cdrom(_) => Some("a disc"),
            Image::Kernel(path) => place::wish_of_image(path),
        };
        let options = [
            (self.machine.is_some(), "--machine"),
            (self.firmware.is_some(), "--firmware"),
            (self.transport.is_some(), "--transport"),
            (self.gdb, "--gdb (`cargo metaos gdb` needs none)"),
            (!self.extra_arguments.is_empty(), "--qemu-arg"),
        ];
        let option = options.into_iter().find(|(is_given, _)| *is_given).map(|(_, name)| name);
        Wishes {
            machine: option.or(image),
            process: match (self.seed, &self.net) {
                (Some(_), _) => Some("--seed"),
                (None, Network::Peer(_)) => Some("--net peer"),
                (None, _) => None,
            },
        }
    }

    fn config(
        &self,
        ready: &Ready,
        accelerator: Accelerator,
    ) -> Result<MachineConfig, Box<dyn std::error::Error>> {
        let defaults = MachineConfig::new(ready.image.clone());
        let command_line = match ready.image {
            Image::Cdrom(_) if self.settings.is_empty() => defaults.command_line.clone(),
            _ => self.settings.command_line(&ready.name),
        };
        let command_line = match self.seed {
            Some(_) if self.net != Network::None => {
                return Err("packets from outside do not repeat; leave --net out, or --seed".into());
            }
            Some(seed) => command_line.word(&hosted::seed_word(seed)),
            None => command_line,
        };
        Ok(MachineConfig {
            kind: self.machine.map_or(defaults.kind, Into::into),
            firmware: self.firmware.map_or(defaults.firmware, Into::into),
            transport: self.transport.map_or(defaults.transport, Into::into),
            accelerator,
            memory_mib: self.memory,
            network: network(&self.net, &self.publish, &self.settings)?,
            command_line,
            console: Console::Terminal,
            symbols: ready.symbols.clone(),
            debugger_port: if self.gdb { Some(free_port()?) } else { None },
            extra_arguments: self.extra_arguments.clone(),
            ..defaults
        })
    }
}

/// Returns the network that was asked for, with its published ports.
pub(super) fn network(
    net: &Network,
    publish: &[Forward],
    settings: &Settings,
) -> Result<Network, &'static str> {
    match net {
        Network::User(user) => Ok(Network::User(UserNetwork {
            forwards: publish.to_vec(),
            address: settings.address,
            gateway: settings.gateway,
            backend: user.backend,
        })),
        other if publish.is_empty() => Ok(other.clone()),
        _ => Err("-p publishes ports of the user network; leave it out, or choose --net user"),
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

/// Tells where a guest runs and why, in one line.
fn where_and_why(place: &Place, network: &Network) -> String {
    let Place { accelerator, reason } = place;
    match accelerator {
        Accelerator::Kvm => format!("runs in QEMU on KVM: {reason}"),
        Accelerator::Tcg => format!("runs in QEMU on TCG: {reason}"),
        Accelerator::Hosted => {
            format!("runs as a Linux process ({}): {reason}", hosted::describe_network(network))
        }
    }
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
        Err(MachineError::Silent { accelerator, status, errors, .. }) => {
            Err(Box::new(MachineError::Silent { accelerator, status, errors, console: String::new() }))
        }
        Err(error) => Err(Box::new(error)),
    }
}

/// Reads an amount of memory and returns it in MiB.
pub(super) fn parse_memory(text: &str) -> Result<u64, String> {
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
        let symbols =
            Symbols { nucleus: Some("/t/nucleus".into()), guest: Some("/t/it's".into()), program: None };
        assert_eq!(
            debugger_line(1234, &symbols),
            r"gdb -ex 'add-symbol-file /t/nucleus' -ex 'target remote 127.0.0.1:1234' '/t/it'\''s'"
        );
    }
}

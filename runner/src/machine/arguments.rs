//! Turns a [`MachineConfig`] into QEMU's arguments.
//!
//! The flags are the fast way to start that boots everywhere: no default devices, no option ROMs, modern virtio
//! only, the status by a channel of its own. A choice that QEMU would take and the guest could not boot on is
//! refused here, with the choice that works.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use crate::command_line::{CommandLine, CommandLineError};
use crate::machine::{Accelerator, Firmware, Image, MachineConfig, MachineKind, Transport};
use crate::network::{Forward, Network, NetworkError, UserNetwork};

/// Descriptors by which QEMU inherits its ends of a channel's pipes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelDescriptors {
    /// QEMU writes here.
    pub(super) output: RawFd,
    /// QEMU reads here.
    pub(super) input: RawFd,
}

/// The console's.
pub(super) const CONSOLE: ChannelDescriptors = ChannelDescriptors { output: 3, input: 4 };
/// The control channel's.
pub(super) const CONTROL: ChannelDescriptors = ChannelDescriptors { output: 5, input: 6 };

/// Registers of one virtio-mmio transport of the microvm: base, distance, first interrupt line without ACPI
/// (QEMU, `include/hw/i386/microvm.h`).
const MMIO_BASE: u64 = 0xfeb0_0000;
const MMIO_SIZE: u64 = 0x200;
const MMIO_FIRST_INTERRUPT: u64 = 5;

/// With less, QEMU fills the host's memory in silence and never starts the guest.
const LEAST_MEMORY_MIB: u64 = 2;

/// Where distributions keep a UEFI firmware that needs no variable store beside it.
const OVMF_PATHS: [&str; 5] = [
    "/usr/share/ovmf/OVMF.fd",
    "/usr/share/qemu/OVMF.fd",
    "/usr/share/OVMF/OVMF.fd",
    "/usr/share/edk2/x64/OVMF.4m.fd",
    "/usr/share/edk2-ovmf/x64/OVMF.fd",
];

/// Why a configuration is no machine.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// virtio-mmio on a machine without it.
    #[error("only the microvm has virtio-mmio; choose --machine microvm or the PCI transport")]
    NoMmio,
    /// A disc in the microvm.
    #[error("the microvm has no disc drive; choose --machine q35 for an ISO")]
    NoDrive,
    /// A disc with a firmware that boots no discs.
    #[error("qboot boots no discs; choose --firmware seabios for an ISO")]
    NoDiscBoot,
    /// UEFI with something else than a disc on a PC.
    #[error("UEFI boots an ISO on q35 or pc; make one with `cargo metaos build --iso`")]
    UefiNeedsDisc,
    /// UEFI firmware is not installed.
    #[error("no UEFI firmware found; install the package ovmf")]
    NoUefi,
    /// A command line for a disc.
    #[error("an ISO carries its command line in boot/grub/grub.cfg; pass arguments when it is built")]
    CommandLineOnDisc,
    /// Less memory than QEMU's firmware runs with.
    #[error("a machine needs at least 2 MiB of memory; give more with -m")]
    NoMemory,
    /// A link between processes.
    #[error(
        "--net peer joins guests that run as processes; choose --accel hosted, or --net tap for a machine"
    )]
    NoPeer,
    /// The network has settings that do not fit together.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The command line cannot be handed over.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
}

/// Returns the arguments that start the machine.
///
/// # Errors
///
/// The configuration is no machine that the guest boots on.
pub fn arguments(config: &MachineConfig) -> Result<Vec<OsString>, ConfigError> {
    check(config)?;
    let mut list = Arguments::default();
    push_machine(&mut list, config)?;
    push_channels(&mut list, config);
    push_devices(&mut list, config);
    push_image(&mut list, config)?;
    list.0.extend(config.extra_arguments.iter().cloned());
    Ok(list.0)
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn push(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.0.push(name.into());
        self.0.push(value.as_ref().to_owned());
    }
}

fn check(config: &MachineConfig) -> Result<(), ConfigError> {
    let is_disc = matches!(config.image, Image::Cdrom(_));
    let is_microvm = config.kind == MachineKind::Microvm;
    match (config.transport, config.firmware) {
        (Transport::Mmio, _) if !is_microvm => Err(ConfigError::NoMmio),
        _ if is_disc && is_microvm => Err(ConfigError::NoDrive),
        (_, Firmware::Qboot) if is_disc => Err(ConfigError::NoDiscBoot),
        (_, Firmware::Ovmf) if !is_disc => Err(ConfigError::UefiNeedsDisc),
        _ if is_disc && !config.command_line.is_empty() => Err(ConfigError::CommandLineOnDisc),
        _ if config.memory_mib < LEAST_MEMORY_MIB => Err(ConfigError::NoMemory),
        _ => match &config.network {
            Network::User(user) => Ok(user.check()?),
            Network::Peer(_) | Network::Lockstep(_) => Err(ConfigError::NoPeer),
            Network::None | Network::Tap(_) | Network::Stream(_) => Ok(()),
        },
    }
}

fn push_machine(list: &mut Arguments, config: &MachineConfig) -> Result<(), ConfigError> {
    list.push("-M", machine(config));
    let (accelerator, cpu) = match config.accelerator {
        // Who asks for the words of a machine that is none is shown those of the one that runs everywhere.
        Accelerator::Tcg | Accelerator::Hosted => ("tcg", "max"),
        // Not every KVM can set that register, and the guest does not read it.
        Accelerator::Kvm => ("kvm", "host,-arch-capabilities"),
    };
    list.push("-accel", accelerator);
    list.push("-cpu", cpu);
    list.push("-m", format!("{}M", config.memory_mib));
    match config.firmware {
        Firmware::Qboot => list.push("-bios", "qboot.rom"),
        // Without ACPI QEMU would choose qboot by itself.
        Firmware::SeaBios if config.kind == MachineKind::Microvm => list.push("-bios", "bios-microvm.bin"),
        Firmware::SeaBios => {}
        Firmware::Ovmf => list.push("-bios", uefi_firmware().ok_or(ConfigError::NoUefi)?),
    }
    ["-nodefaults", "-no-user-config", "-no-reboot"].into_iter().for_each(|flag| list.flag(flag));
    list.push("-display", "none");
    list.push("-device", "isa-debug-exit,iobase=0xf4,iosize=4");
    Ok(())
}

fn machine(config: &MachineConfig) -> &'static str {
    match (config.kind, config.transport) {
        (MachineKind::Q35, _) => "q35",
        (MachineKind::Pc, _) => "pc",
        (MachineKind::Microvm, Transport::Pci) => "microvm,pcie=on,rtc=on",
        // QEMU would append its `virtio_mmio.device=` words behind the program's arguments: ours stand before.
        (MachineKind::Microvm, Transport::Mmio) => {
            "microvm,acpi=off,ioapic2=off,rtc=on,auto-kernel-cmdline=off"
        }
    }
}

fn push_channels(list: &mut Arguments, config: &MachineConfig) {
    push_channel(list, "console", CONSOLE);
    push_channel(list, "control", CONTROL);
    list.push("-serial", "chardev:console");
    match config.kind {
        // The microvm makes one serial port by itself.
        MachineKind::Microvm => list.push("-device", "isa-serial,iobase=0x2f8,irq=3,chardev=control"),
        MachineKind::Q35 | MachineKind::Pc => list.push("-serial", "chardev:control"),
    }
    if let Some(path) = &config.qmp {
        list.push("-chardev", with_path("socket,id=qmp,server=on,wait=off,path=", path, ""));
        list.push("-mon", "chardev=qmp,mode=control");
    }
    if let Some(port) = config.debugger_port {
        list.flag("-S");
        list.push("-gdb", format!("tcp:127.0.0.1:{port}"));
    }
}

/// Pipes and not a socket: QEMU writes byte by byte, of which a socket's buffer holds some hundred and a pipe's as many
/// as it has bytes; what does not fit when the machine ends is lost.
fn push_channel(list: &mut Arguments, name: &str, descriptors: ChannelDescriptors) {
    let ChannelDescriptors { output, input } = descriptors;
    list.push("-add-fd", format!("fd={output},set={output}"));
    list.push("-add-fd", format!("fd={input},set={input}"));
    // Without `append` QEMU tries to cut the file to nothing, which a pipe refuses.
    let files = format!("path=/dev/fdset/{output},append=on,input-path=/dev/fdset/{input}");
    list.push("-chardev", format!("file,id={name},{files}"));
}

fn push_devices(list: &mut Arguments, config: &MachineConfig) {
    if config.transport == Transport::Mmio {
        list.push("-global", "virtio-mmio.force-legacy=false");
    }
    push_backend(list, &config.network);
    for (index, name) in devices(config).into_iter().enumerate() {
        let options = match name {
            "virtio-net" => format!(",netdev=net0{}", hardware_address(&config.network)),
            _ => String::new(),
        };
        list.push(
            "-device",
            match config.transport {
                Transport::Pci => format!("{name}-pci,disable-legacy=on{}{options}", option_rom(name)),
                Transport::Mmio => format!("{name}-device,bus=virtio-mmio-bus.{index}{options}"),
            },
        );
    }
}

fn devices(config: &MachineConfig) -> Vec<&'static str> {
    match config.network {
        Network::None => vec!["virtio-rng"],
        _ => vec!["virtio-net", "virtio-rng"],
    }
}

/// The network card's boot ROM costs tens of milliseconds and nobody boots from it.
fn option_rom(device: &str) -> &'static str {
    if device == "virtio-net" { ",romfile=" } else { "" }
}

fn hardware_address(network: &Network) -> String {
    let Network::Tap(interface) = network else { return String::new() };
    format!(",mac={}", tap_hardware_address(interface))
}

/// Machines on one bridge must not share QEMU's default address; the name of the tap tells them apart.
pub(crate) fn tap_hardware_address(interface: &str) -> String {
    let hash = interface
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, _] = hash.to_be_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

fn push_backend(list: &mut Arguments, network: &Network) {
    match network {
        // Peers and simulated networks have been refused.
        Network::None | Network::Peer(_) | Network::Lockstep(_) => {}
        Network::User(user) => list.push("-netdev", user_backend(user)),
        Network::Tap(interface) => {
            list.push("-netdev", format!("tap,id=net0,ifname={interface},script=no,downscript=no,vhost=off"));
        }
        Network::Stream(path) => {
            list.push("-netdev", with_path("stream,id=net0,server=off,addr.type=unix,addr.path=", path, ""));
        }
    }
}

fn user_backend(user: &UserNetwork) -> String {
    let mut text = "user,id=net0".to_owned();
    if let Some(address) = user.address {
        text += &format!(",net={}/{}", address.network(), address.prefix);
        if let Some(gateway) = user.gateway {
            text += &format!(",host={gateway}");
        }
    }
    let guest = user.address.map(|address| address.ip.to_string()).unwrap_or_default();
    for Forward { protocol, host_address, host_port, guest_port } in &user.forwards {
        text += &format!(",hostfwd={protocol}:{host_address}:{host_port}-{guest}:{guest_port}");
    }
    text
}

fn push_image(list: &mut Arguments, config: &MachineConfig) -> Result<(), ConfigError> {
    match &config.image {
        Image::Cdrom(path) => list.push("-cdrom", path),
        Image::Kernel(path) => {
            list.push("-kernel", path);
            let line = config.command_line.clone().preceded_by(machine_words(config));
            list.push("-append", line.render()?);
        }
    }
    Ok(())
}

fn machine_words(config: &MachineConfig) -> CommandLine {
    let option = std::str::from_utf8(abi::control::OPTION).expect("the option's name is ASCII");
    let line = CommandLine::new().word(option);
    match config.transport {
        Transport::Pci => line,
        Transport::Mmio => (0..devices(config).len() as u64).fold(line, |line, index| {
            let base = MMIO_BASE + MMIO_SIZE * index;
            let interrupt = MMIO_FIRST_INTERRUPT + index;
            line.option("virtio_mmio.device", format_args!("{MMIO_SIZE}@{base:#x}:{interrupt}"))
        }),
    }
}

/// Returns where the firmware for UEFI machines lies, if it is installed.
pub(crate) fn uefi_firmware() -> Option<&'static Path> {
    OVMF_PATHS.iter().map(Path::new).find(|path| path.exists())
}

/// QEMU separates options by commas; a comma in a path is written twice.
fn with_path(before: &str, path: &Path, after: &str) -> OsString {
    let path = PathBuf::from(path.to_string_lossy().replace(',', ",,"));
    [before.as_ref(), path.as_os_str(), after.as_ref()].into_iter().collect()
}

#[cfg(test)]
mod tests;

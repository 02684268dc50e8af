//! What a machine is made of: the choices a user or a test has.
//!
//! Plain values with defaults; whether they go together is checked when they are turned into QEMU's arguments
//! ([`super::arguments()`]), or into a process ([`crate::hosted`]).

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command_line::CommandLine;
use crate::crash::Symbols;
use crate::network::Network;

/// Memory of a machine unless it is said otherwise, in MiB.
pub const DEFAULT_MEMORY_MIB: u64 = 64;

/// Which of QEMU's machines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MachineKind {
    /// A PC with PCI Express.
    #[default]
    Q35,
    /// QEMU's smallest machine.
    Microvm,
    /// A PC with PCI (i440FX).
    Pc,
}

/// The machine's firmware.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Firmware {
    /// The smallest and fastest; boots kernels directly.
    #[default]
    Qboot,
    /// A PC BIOS.
    SeaBios,
    /// UEFI.
    Ovmf,
}

/// How virtio devices are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transport {
    /// On the PCI bus (virtio 1.2, 4.1).
    #[default]
    Pci,
    /// As memory-mapped registers (virtio 1.2, 4.2); on the microvm alone.
    Mmio,
}

/// What executes the machine's instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Accelerator {
    /// QEMU's translator: runs everywhere.
    #[default]
    Tcg,
    /// The CPU itself, through Linux KVM.
    Kvm,
    /// The CPU itself: the guest is a Linux process, without QEMU.
    Hosted,
}

/// What the machine boots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Image {
    /// An image that the firmware loads directly (PVH).
    Kernel(PathBuf),
    /// A disc with a boot loader. Its command line stands on the disc.
    Cdrom(PathBuf),
}

/// Where the console goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Console {
    /// Kept for [`super::Outcome::console`]; typed by [`super::Machine::type_on_console`].
    #[default]
    Capture,
    /// Standard output and input of this process, as well as kept.
    Terminal,
}

/// A machine to be started.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Which machine.
    pub kind: MachineKind,
    /// Its firmware.
    pub firmware: Firmware,
    /// How virtio devices are attached.
    pub transport: Transport,
    /// What executes its instructions. [`Accelerator::Hosted`] takes no kind, firmware or transport but the defaults.
    pub accelerator: Accelerator,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// What its network card is plugged into.
    pub network: Network,
    /// What it boots.
    pub image: Image,
    /// Options and arguments of the guest. The word that announces the control channel is added.
    pub command_line: CommandLine,
    /// Where the console goes.
    pub console: Console,
    /// The files that crash reports take names from.
    pub symbols: Symbols,
    /// Path of a unix socket on which QEMU answers QMP; made by QEMU, removed at the end.
    pub qmp: Option<PathBuf>,
    /// Port of the loopback address on which QEMU waits for a debugger before the first instruction.
    pub debugger_port: Option<u16>,
    /// More arguments for QEMU, as they stand.
    pub extra_arguments: Vec<OsString>,
}

impl MachineConfig {
    /// Returns the default machine for `image`: q35, qboot (`SeaBIOS` for a disc), TCG, 64 MiB, no network.
    #[must_use]
    pub fn new(image: Image) -> Self {
        let firmware = match image {
            Image::Kernel(_) => Firmware::Qboot,
            Image::Cdrom(_) => Firmware::SeaBios,
        };
        Self {
            kind: MachineKind::default(),
            firmware,
            transport: Transport::default(),
            accelerator: Accelerator::default(),
            memory_mib: DEFAULT_MEMORY_MIB,
            network: Network::default(),
            image,
            command_line: CommandLine::new(),
            console: Console::default(),
            symbols: Symbols::default(),
            qmp: None,
            debugger_port: None,
            extra_arguments: Vec::new(),
        }
    }
}

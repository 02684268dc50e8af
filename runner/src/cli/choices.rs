//! The words of the command line that stand for choices of the library.

use clap::ValueEnum;

use crate::machine::{Firmware, MachineKind};
use crate::place::Choice;

/// Machine to run on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum MachineWord {
    /// PC with PCI Express
    Q35,
    /// QEMU's smallest machine
    Microvm,
    /// PC with PCI
    Pc,
}

/// Firmware to boot with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum FirmwareWord {
    /// Smallest and fastest; images only
    Qboot,
    /// PC BIOS
    Seabios,
    /// UEFI; discs only
    Ovmf,
}

/// How virtio devices are attached.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum TransportWord {
    /// On the PCI bus
    Pci,
    /// As memory-mapped registers, on the microvm
    Mmio,
}

/// What executes the machine's instructions.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum AcceleratorWord {
    /// KVM where it works, else hosted, else TCG
    Auto,
    /// The CPU itself, in QEMU
    Kvm,
    /// QEMU's translator
    Tcg,
    /// The CPU itself: the guest is a Linux process, without QEMU and without rights
    Hosted,
}

impl From<MachineWord> for MachineKind {
    fn from(word: MachineWord) -> Self {
        match word {
            MachineWord::Q35 => Self::Q35,
            MachineWord::Microvm => Self::Microvm,
            MachineWord::Pc => Self::Pc,
        }
    }
}

impl From<FirmwareWord> for Firmware {
    fn from(word: FirmwareWord) -> Self {
        match word {
            FirmwareWord::Qboot => Self::Qboot,
            FirmwareWord::Seabios => Self::SeaBios,
            FirmwareWord::Ovmf => Self::Ovmf,
        }
    }
}

impl From<TransportWord> for crate::machine::Transport {
    fn from(word: TransportWord) -> Self {
        match word {
            TransportWord::Pci => Self::Pci,
            TransportWord::Mmio => Self::Mmio,
        }
    }
}

impl From<AcceleratorWord> for Choice {
    fn from(word: AcceleratorWord) -> Self {
        match word {
            AcceleratorWord::Auto => Self::Auto,
            AcceleratorWord::Kvm => Self::Kvm,
            AcceleratorWord::Tcg => Self::Tcg,
            AcceleratorWord::Hosted => Self::Hosted,
        }
    }
}

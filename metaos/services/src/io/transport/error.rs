//! What can go wrong with the registers of a device.

use crate::memory;
use core::fmt;

/// Reason why a device cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransportError {
    /// The boot information names a transport that is not known here.
    UnknownTransport,
    /// A register block that virtio prescribes is missing, too short, or outside its window.
    MissingRegisters,
    /// The register block does not start as virtio prescribes, or is of the legacy kind.
    NotVirtio,
    /// The device did not finish its reset.
    ResetTimedOut,
    /// The device has no queue of this number, or it is smaller than asked for.
    NoSuchQueue,
    /// The device refused an interrupt vector.
    NoVector,
    /// The device's doorbell lies outside its notification area.
    BadDoorbell,
    /// The configuration changed at every look.
    ConfigurationUnsteady,
    /// The registers could not be mapped.
    Memory(memory::Error),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnknownTransport => "unknown device transport",
            Self::MissingRegisters => "device lacks a register block; use a virtio 1.x device",
            Self::NotVirtio => "not a virtio 1.x device (with QEMU: -global virtio-mmio.force-legacy=false)",
            Self::ResetTimedOut => "device did not reset in time; restart the machine",
            Self::NoSuchQueue => "device lacks a queue or has it too small",
            Self::NoVector => "device refused an interrupt vector",
            Self::BadDoorbell => "device's doorbell lies outside its notification area",
            Self::ConfigurationUnsteady => "device's configuration changed at every look",
            Self::Memory(error) => return write!(f, "mapping the device's registers: {error}"),
        };
        f.write_str(text)
    }
}

impl core::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}

impl From<memory::Error> for TransportError {
    fn from(error: memory::Error) -> Self {
        Self::Memory(error)
    }
}

//! What can go wrong with the network device.

use crate::io::device::DeviceError;
use crate::io::entropy::NoEntropy;
use crate::io::transport::TransportError;
use crate::memory;
use core::fmt;

/// Reason why the network device cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetError {
    /// The device itself.
    Device(DeviceError),
    /// No memory for its packet buffers.
    Memory(memory::Error),
    /// It has no hardware address, and none could be made up.
    NoAddress(NoEntropy),
    /// It broke the rules and could not be brought up again.
    Dead,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => write!(f, "network device: {error}"),
            Self::Memory(error) => write!(f, "memory for packet buffers: {error}"),
            Self::NoAddress(error) => write!(f, "hardware address for the network device: {error}"),
            Self::Dead => f.write_str("network device does not come back from a reset; restart the machine"),
        }
    }
}

impl core::error::Error for NetError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Device(error) => Some(error),
            Self::Memory(error) => Some(error),
            Self::NoAddress(error) => Some(error),
            Self::Dead => None,
        }
    }
}

impl From<DeviceError> for NetError {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl From<TransportError> for NetError {
    fn from(error: TransportError) -> Self {
        Self::Device(DeviceError::Transport(error))
    }
}

impl From<memory::Error> for NetError {
    fn from(error: memory::Error) -> Self {
        Self::Memory(error)
    }
}

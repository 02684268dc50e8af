//! How a virtio device is reached: over PCI (virtio 1.2, 4.1), over MMIO (4.2), or by requests to a machine that carries
//! it out itself.
//!
//! One enum, not a trait object: the three are all there are, and the drivers above stay free of type parameters.

mod error;
mod mmio;
mod pci;
mod requests;
mod window;

pub use error::TransportError;

use super::virtqueue::QueueAddresses;
use super::volatile::Registers;
use abi::boot::{Device, transport};
use mmio::Mmio;
use pci::Pci;
use requests::Requests;

/// Bits of the device status field (virtio 1.2, 2.1).
pub mod status {
    /// The guest has noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The guest knows how to drive it.
    pub const DRIVER: u8 = 2;
    /// The driver is set up.
    pub const DRIVER_OK: u8 = 4;
    /// The features are agreed.
    pub const FEATURES_OK: u8 = 8;
    /// The device has lost its way and wants a reset.
    pub const NEEDS_RESET: u8 = 64;
    /// The driver has given up.
    pub const FAILED: u8 = 128;
}

/// The registers of one device.
#[derive(Debug)]
pub enum Transport {
    /// Over PCI.
    Pci(Pci),
    /// Over MMIO.
    Mmio(Mmio),
    /// By requests to the machine below.
    Requests(Requests),
}

/// The register that tells a device of new entries in one queue.
#[derive(Clone, Copy, Debug)]
pub enum Doorbell {
    /// PCI: the queue's index, 16 bits (virtio 1.2, 4.1.5.2).
    Short(Registers, u16),
    /// MMIO: the queue's index, 32 bits (4.2.2).
    Long(Registers, u32),
    /// A request, of this device for this queue.
    Request(Requests, u16),
}

/// How often a register is read while a device resets, before it is given up.
const RESET_READS: u32 = 1_000_000;

impl Transport {
    /// Maps the registers of `device`, the `index`-th of the boot information. They stay mapped for good, since a
    /// window cannot be unmapped; a device is therefore opened once.
    ///
    /// # Errors
    ///
    /// See [`TransportError`].
    pub fn open(index: usize, device: &Device) -> Result<Self, TransportError> {
        match device.transport {
            transport::VIRTIO_PCI => Ok(Self::Pci(Pci::open(index, device)?)),
            transport::VIRTIO_MMIO => Ok(Self::Mmio(Mmio::open(index, device)?)),
            transport::REQUESTS => Ok(Self::Requests(Requests::new(index))),
            _ => Err(TransportError::UnknownTransport),
        }
    }

    /// Resets the device: it forgets everything and touches no memory any more.
    ///
    /// # Errors
    ///
    /// [`TransportError::ResetTimedOut`] if it does not say so in time. Its memory must not be used again then.
    pub fn reset(&self) -> Result<(), TransportError> {
        self.set_status(0);
        for _ in 0..RESET_READS {
            if self.status() == 0 {
                return Ok(());
            }
            core::hint::spin_loop();
        }
        Err(TransportError::ResetTimedOut)
    }

    /// Reads the device status.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Pci(pci) => pci.status(),
            Self::Mmio(mmio) => mmio.status(),
            Self::Requests(requests) => requests.status(),
        }
    }

    /// Writes the device status.
    pub fn set_status(&self, status: u8) {
        match self {
            Self::Pci(pci) => pci.set_status(status),
            Self::Mmio(mmio) => mmio.set_status(status),
            Self::Requests(requests) => requests.set_status(status),
        }
    }

    /// Reads the features that the device offers.
    #[must_use]
    pub fn offered_features(&self) -> u64 {
        let whole = |half: &dyn Fn(u32) -> u32| u64::from(half(0)) | u64::from(half(1)) << 32;
        match self {
            Self::Pci(pci) => whole(&|select| pci.offered_features(select)),
            Self::Mmio(mmio) => whole(&|select| mmio.offered_features(select)),
            Self::Requests(requests) => requests.offered_features(),
        }
    }

    /// Writes the features that the driver uses.
    pub fn accept_features(&self, features: u64) {
        for (select, half) in (0..).zip(halves(features)) {
            match self {
                Self::Pci(pci) => pci.accept_features(select, half),
                Self::Mmio(mmio) => mmio.accept_features(select, half),
                Self::Requests(requests) => return requests.accept_features(features),
            }
        }
    }

    /// Reads the largest size of a queue; 0: the device has no such queue.
    #[must_use]
    pub fn queue_size_limit(&self, queue: u16) -> u16 {
        match self {
            Self::Pci(pci) => pci.queue_size_limit(queue),
            Self::Mmio(mmio) => mmio.queue_size_limit(queue),
            Self::Requests(requests) => requests.queue_size_limit(queue),
        }
    }

    /// Hands a queue to the device and returns its doorbell. The queue's interrupts go to vector
    /// `min(queue, vectors - 1)`.
    ///
    /// # Errors
    ///
    /// See [`TransportError`].
    pub fn enable_queue(
        &self,
        queue: u16,
        size: u16,
        addresses: &QueueAddresses,
    ) -> Result<Doorbell, TransportError> {
        match self {
            Self::Pci(pci) => pci.enable_queue(queue, size, addresses),
            Self::Mmio(mmio) => mmio.enable_queue(queue, size, addresses),
            Self::Requests(requests) => requests.enable_queue(queue, size, addresses),
        }
    }

    /// Tells whether interrupts must be acknowledged at all.
    #[must_use]
    pub const fn wants_acknowledgement(&self) -> bool {
        match self {
            // MSI-X vectors need none (virtio 1.2, 4.1.5.3).
            Self::Pci(_) | Self::Requests(_) => false,
            Self::Mmio(_) => true,
        }
    }

    /// Tells the device that its interrupt has been noticed. Must come *before* the used rings are looked at: where
    /// the line is edge-triggered, an interrupt raised in between would else be swallowed with the old one.
    pub fn acknowledge_interrupt(&self) {
        match self {
            Self::Pci(_) | Self::Requests(_) => {}
            Self::Mmio(mmio) => mmio.acknowledge_interrupt(),
        }
    }

    /// Lets a device work that works only when it is asked to.
    pub fn attend(&self) {
        if let Self::Requests(requests) = self {
            requests.attend();
        }
    }

    /// Reads `N` bytes of the device's configuration at `offset`, all from one generation of it (virtio 1.2, 2.5.1).
    ///
    /// # Errors
    ///
    /// [`TransportError::ConfigurationUnsteady`] if it changes all the time.
    pub fn configuration<const N: usize>(&self, offset: usize) -> Result<[u8; N], TransportError> {
        let (registers, generation): (Registers, &dyn Fn() -> u32) = match self {
            Self::Pci(pci) => (pci.configuration(), &|| pci.generation()),
            Self::Mmio(mmio) => (mmio.configuration(), &|| mmio.generation()),
            Self::Requests(requests) => {
                return Ok(core::array::from_fn(|index| requests.configuration(offset + index)));
            }
        };
        for _ in 0..CONFIGURATION_TRIES {
            let before = generation();
            let bytes = core::array::from_fn(|index| registers.read_u8(offset + index));
            if generation() == before {
                return Ok(bytes);
            }
        }
        Err(TransportError::ConfigurationUnsteady)
    }
}

const CONFIGURATION_TRIES: u32 = 16;

impl Doorbell {
    /// Tells the device of new entries.
    pub fn ring(self) {
        match self {
            Self::Short(register, queue) => register.write_u16(0, queue),
            Self::Long(register, queue) => register.write_u32(0, queue),
            Self::Request(requests, queue) => requests.notify(queue),
        }
    }
}

/// Splits a 64-bit field into its low and its high half, as registers take it.
const fn halves(field: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = field.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

#[cfg(test)]
mod tests;

//! virtio over PCI (virtio 1.2, 4.1). The machine below has found the register blocks and owns the configuration
//! space and the MSI-X table; only the blocks themselves are touched here.

use super::error::TransportError;
use super::window::Windows;
use super::{Doorbell, halves};
use crate::io::virtqueue::QueueAddresses;
use crate::io::volatile::Registers;
use abi::BusAddr;
use abi::boot::{Device, region};

/// Fields of the common configuration (virtio 1.2, 4.1.4.3).
mod common {
    pub(super) const DEVICE_FEATURE_SELECT: usize = 0;
    pub(super) const DEVICE_FEATURE: usize = 4;
    pub(super) const DRIVER_FEATURE_SELECT: usize = 8;
    pub(super) const DRIVER_FEATURE: usize = 12;
    pub(super) const CONFIG_MSIX_VECTOR: usize = 16;
    pub(super) const NUM_QUEUES: usize = 18;
    pub(super) const DEVICE_STATUS: usize = 20;
    pub(super) const CONFIG_GENERATION: usize = 21;
    pub(super) const QUEUE_SELECT: usize = 22;
    pub(super) const QUEUE_SIZE: usize = 24;
    pub(super) const QUEUE_MSIX_VECTOR: usize = 26;
    pub(super) const QUEUE_ENABLE: usize = 28;
    pub(super) const QUEUE_NOTIFY_OFF: usize = 30;
    pub(super) const QUEUE_DESC: usize = 32;
    pub(super) const QUEUE_DRIVER: usize = 40;
    pub(super) const QUEUE_DEVICE: usize = 48;
    pub(super) const BYTES: usize = 56;
}

const NO_VECTOR: u16 = 0xffff;

/// The register blocks of a PCI device.
#[derive(Debug)]
pub struct Pci {
    common: Registers,
    notify: Registers,
    device: Option<Registers>,
    notify_multiplier: u32,
    vectors: u16,
}

impl Pci {
    pub(super) fn open(index: usize, device: &Device) -> Result<Self, TransportError> {
        let mut windows = Windows::new(index, device);
        let common = windows.region(region::COMMON, common::BYTES)?;
        let notify = windows.region(region::NOTIFY, 2)?;
        // Devices without a configuration of their own (entropy) have no such block.
        let has_configuration = device.regions[region::DEVICE].length > 0;
        let configuration = if has_configuration { Some(windows.region(region::DEVICE, 1)?) } else { None };
        let vectors = u16::try_from(device.event_count).unwrap_or(NO_VECTOR);
        Ok(Self {
            common,
            notify,
            device: configuration,
            notify_multiplier: device.notify_multiplier,
            vectors,
        })
    }

    pub(super) fn status(&self) -> u8 {
        self.common.read_u8(common::DEVICE_STATUS)
    }

    pub(super) fn set_status(&self, status: u8) {
        self.common.write_u8(common::DEVICE_STATUS, status);
    }

    pub(super) fn offered_features(&self, select: u32) -> u32 {
        self.common.write_u32(common::DEVICE_FEATURE_SELECT, select);
        self.common.read_u32(common::DEVICE_FEATURE)
    }

    pub(super) fn accept_features(&self, select: u32, features: u32) {
        self.common.write_u32(common::DRIVER_FEATURE_SELECT, select);
        self.common.write_u32(common::DRIVER_FEATURE, features);
    }

    pub(super) fn queue_size_limit(&self, queue: u16) -> u16 {
        if queue >= self.common.read_u16(common::NUM_QUEUES) {
            return 0;
        }
        self.common.write_u16(common::QUEUE_SELECT, queue);
        self.common.read_u16(common::QUEUE_SIZE)
    }

    pub(super) fn enable_queue(
        &self,
        queue: u16,
        size: u16,
        addresses: &QueueAddresses,
    ) -> Result<Doorbell, TransportError> {
        if self.queue_size_limit(queue) < size {
            return Err(TransportError::NoSuchQueue);
        }
        self.common.write_u16(common::QUEUE_SIZE, size);
        self.write_address(common::QUEUE_DESC, addresses.descriptors);
        self.write_address(common::QUEUE_DRIVER, addresses.available);
        self.write_address(common::QUEUE_DEVICE, addresses.used);
        self.assign_vectors(queue)?;
        let doorbell = self.doorbell(queue)?;
        self.common.write_u16(common::QUEUE_ENABLE, 1);
        Ok(doorbell)
    }

    pub(super) fn generation(&self) -> u32 {
        u32::from(self.common.read_u8(common::CONFIG_GENERATION))
    }

    /// Returns the device's configuration; where it has none, a block of no bytes, which reads as ones.
    pub(super) fn configuration(&self) -> Registers {
        let none = self.common.part(0, 0).expect("every block has an empty part");
        self.device.unwrap_or(none)
    }

    /// Nothing waits for configuration changes, so they get no vector. The selected queue gets its own, or the last.
    fn assign_vectors(&self, queue: u16) -> Result<(), TransportError> {
        self.common.write_u16(common::CONFIG_MSIX_VECTOR, NO_VECTOR);
        let vector = match self.vectors.checked_sub(1) {
            Some(last) => queue.min(last),
            None => NO_VECTOR,
        };
        self.common.write_u16(common::QUEUE_MSIX_VECTOR, vector);
        // The device answers with "no vector" if it could not (virtio 1.2, 4.1.5.1.2.1).
        if self.common.read_u16(common::QUEUE_MSIX_VECTOR) == vector {
            Ok(())
        } else {
            Err(TransportError::NoVector)
        }
    }

    /// Finds the doorbell of the selected queue (virtio 1.2, 4.1.4.4).
    fn doorbell(&self, queue: u16) -> Result<Doorbell, TransportError> {
        let steps = usize::from(self.common.read_u16(common::QUEUE_NOTIFY_OFF));
        let offset = steps.checked_mul(self.notify_multiplier as usize).ok_or(TransportError::BadDoorbell)?;
        // A multiplier that is not a multiple of 4 would need unaligned doorbells; no device has one.
        let registers = self.notify.part(offset, 2).ok_or(TransportError::BadDoorbell)?;
        Ok(Doorbell::Short(registers, queue))
    }

    /// 64-bit fields may be written as two halves (virtio 1.2, 4.1.3.1).
    fn write_address(&self, offset: usize, address: BusAddr) {
        let [low, high] = halves(address.0);
        self.common.write_u32(offset, low);
        self.common.write_u32(offset + 4, high);
    }
}

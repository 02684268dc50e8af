//! virtio over MMIO, version 2 (virtio 1.2, 4.2).

use super::error::TransportError;
use super::window::Windows;
use super::{Doorbell, halves};
use crate::io::virtqueue::QueueAddresses;
use crate::io::volatile::Registers;
use abi::BusAddr;
use abi::boot::{Device, region};

/// Registers (virtio 1.2, 4.2.2).
mod register {
    pub(super) const MAGIC_VALUE: usize = 0x000;
    pub(super) const VERSION: usize = 0x004;
    pub(super) const DEVICE_ID: usize = 0x008;
    pub(super) const DEVICE_FEATURES: usize = 0x010;
    pub(super) const DEVICE_FEATURES_SELECT: usize = 0x014;
    pub(super) const DRIVER_FEATURES: usize = 0x020;
    pub(super) const DRIVER_FEATURES_SELECT: usize = 0x024;
    pub(super) const QUEUE_SELECT: usize = 0x030;
    pub(super) const QUEUE_SIZE_MAX: usize = 0x034;
    pub(super) const QUEUE_SIZE: usize = 0x038;
    pub(super) const QUEUE_READY: usize = 0x044;
    pub(super) const QUEUE_NOTIFY: usize = 0x050;
    pub(super) const INTERRUPT_STATUS: usize = 0x060;
    pub(super) const INTERRUPT_ACKNOWLEDGE: usize = 0x064;
    pub(super) const STATUS: usize = 0x070;
    pub(super) const QUEUE_DESCRIPTORS: usize = 0x080;
    pub(super) const QUEUE_DRIVER: usize = 0x090;
    pub(super) const QUEUE_DEVICE: usize = 0x0a0;
    pub(super) const CONFIGURATION_GENERATION: usize = 0x0fc;
    pub(super) const CONFIGURATION: usize = 0x100;
}

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const VERSION: u32 = 2;

/// The register block of an MMIO device.
#[derive(Debug)]
pub struct Mmio {
    registers: Registers,
    configuration: Registers,
}

impl Mmio {
    pub(super) fn open(index: usize, device: &Device) -> Result<Self, TransportError> {
        let registers = Windows::new(index, device).region(region::COMMON, register::CONFIGURATION)?;
        let is_virtio = registers.read_u32(register::MAGIC_VALUE) == MAGIC
            && registers.read_u32(register::VERSION) == VERSION
            && registers.read_u32(register::DEVICE_ID) == device.kind;
        if !is_virtio {
            return Err(TransportError::NotVirtio);
        }
        let length = registers.length() - register::CONFIGURATION;
        let configuration = registers.part(register::CONFIGURATION, length);
        Ok(Self { registers, configuration: configuration.ok_or(TransportError::MissingRegisters)? })
    }

    pub(super) fn status(&self) -> u8 {
        // The upper bits are zero (virtio 1.2, 4.2.2); an absent device reads as ones.
        u8::try_from(self.registers.read_u32(register::STATUS)).unwrap_or(u8::MAX)
    }

    pub(super) fn set_status(&self, status: u8) {
        self.registers.write_u32(register::STATUS, u32::from(status));
    }

    pub(super) fn offered_features(&self, select: u32) -> u32 {
        self.registers.write_u32(register::DEVICE_FEATURES_SELECT, select);
        self.registers.read_u32(register::DEVICE_FEATURES)
    }

    pub(super) fn accept_features(&self, select: u32, features: u32) {
        self.registers.write_u32(register::DRIVER_FEATURES_SELECT, select);
        self.registers.write_u32(register::DRIVER_FEATURES, features);
    }

    pub(super) fn queue_size_limit(&self, queue: u16) -> u16 {
        self.registers.write_u32(register::QUEUE_SELECT, u32::from(queue));
        u16::try_from(self.registers.read_u32(register::QUEUE_SIZE_MAX)).unwrap_or(0)
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
        self.registers.write_u32(register::QUEUE_SIZE, u32::from(size));
        self.write_address(register::QUEUE_DESCRIPTORS, addresses.descriptors);
        self.write_address(register::QUEUE_DRIVER, addresses.available);
        self.write_address(register::QUEUE_DEVICE, addresses.used);
        self.registers.write_u32(register::QUEUE_READY, 1);
        let doorbell = self.registers.part(register::QUEUE_NOTIFY, 4).ok_or(TransportError::BadDoorbell)?;
        Ok(Doorbell::Long(doorbell, u32::from(queue)))
    }

    pub(super) fn acknowledge_interrupt(&self) {
        let raised = self.registers.read_u32(register::INTERRUPT_STATUS);
        if raised != 0 {
            self.registers.write_u32(register::INTERRUPT_ACKNOWLEDGE, raised);
        }
    }

    pub(super) fn generation(&self) -> u32 {
        self.registers.read_u32(register::CONFIGURATION_GENERATION)
    }

    pub(super) fn configuration(&self) -> Registers {
        self.configuration
    }

    fn write_address(&self, offset: usize, address: BusAddr) {
        let [low, high] = halves(address.0);
        self.registers.write_u32(offset, low);
        self.registers.write_u32(offset + 4, high);
    }
}

//! virtio without registers: the machine below carries the device out and takes requests.

use super::{Doorbell, TransportError};
use crate::io::virtqueue::QueueAddresses;
use crate::machine;
use abi::DeviceRequest;

/// A device that the machine below carries out.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// Its index in the boot information.
    device: usize,
}

impl Requests {
    pub(super) const fn new(device: usize) -> Self {
        Self { device }
    }

    pub(super) fn status(self) -> u8 {
        u8::try_from(self.put(DeviceRequest::Status)).unwrap_or(u8::MAX)
    }

    pub(super) fn set_status(self, status: u8) {
        self.put(DeviceRequest::SetStatus(status));
    }

    pub(super) fn offered_features(self) -> u64 {
        self.put(DeviceRequest::Features)
    }

    pub(super) fn accept_features(self, features: u64) {
        self.put(DeviceRequest::AcceptFeatures(features));
    }

    pub(super) fn queue_size_limit(self, queue: u16) -> u16 {
        u16::try_from(self.put(DeviceRequest::QueueLimit(queue))).unwrap_or(0)
    }

    pub(super) fn enable_queue(
        self,
        queue: u16,
        size: u16,
        addresses: &QueueAddresses,
    ) -> Result<Doorbell, TransportError> {
        if self.queue_size_limit(queue) < size {
            return Err(TransportError::NoSuchQueue);
        }
        let QueueAddresses { descriptors, available, used } = *addresses;
        self.put(DeviceRequest::EnableQueue { queue, size, descriptors, available, used });
        Ok(Doorbell::Request(self, queue))
    }

    pub(super) fn configuration(self, offset: usize) -> u8 {
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        u8::try_from(self.put(DeviceRequest::Configuration(offset))).unwrap_or(0)
    }

    pub(super) fn notify(self, queue: u16) {
        self.put(DeviceRequest::Notify(queue));
    }

    pub(super) fn attend(self) {
        self.put(DeviceRequest::Attend);
    }

    fn put(self, request: DeviceRequest) -> u64 {
        machine::current().device(self.device, request)
    }
}

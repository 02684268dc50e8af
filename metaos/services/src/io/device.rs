//! Bringing a virtio device up: the steps of virtio 1.2, 3.1.1, in their order.

use super::transport::{Doorbell, Transport, TransportError, status};
use super::virtqueue::{MAX_SIZE, Notification, QueueError, QueueLayout, Virtqueue};
use crate::io::dma::DmaRegion;
use crate::machine;
use crate::memory::{self, Area};
use abi::boot::Device;
use core::fmt;
use core::ops::Range;

/// `VIRTIO_F_EVENT_IDX` (virtio 1.2, 6).
pub const FEATURE_EVENT_INDEX: u64 = 1 << 29;
/// `VIRTIO_F_VERSION_1`: not a legacy device.
pub const FEATURE_VERSION_1: u64 = 1 << 32;

/// Reason why a device cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// Its registers.
    Transport(TransportError),
    /// A queue of it.
    Queue(QueueError),
    /// No memory for its rings or buffers.
    Memory(memory::Error),
    /// It is a legacy device.
    Legacy,
    /// It offered features and refused them when they were chosen.
    FeaturesRefused,
}

/// A device of which the registers are known. It does nothing until it is begun, and is reset on drop.
#[derive(Debug)]
pub struct VirtioDevice {
    transport: Transport,
    features: u64,
    events: Range<usize>,
}

/// A queue and its doorbell.
#[derive(Debug)]
pub struct DeviceQueue {
    /// The rings.
    pub rings: Virtqueue<DmaRegion>,
    doorbell: Doorbell,
    /// How often the doorbell was rung.
    doorbells: u64,
}

impl VirtioDevice {
    /// Opens the first device of a virtio type (virtio 1.2, 5), if the machine has one. To be called once a type, see
    /// [`Transport::open`].
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub fn find(kind: u32) -> Result<Option<Self>, DeviceError> {
        let devices = machine::current().boot().devices();
        match devices.iter().enumerate().find(|(_, device)| device.kind == kind) {
            Some((index, device)) => Self::open(index, device).map(Some),
            None => Ok(None),
        }
    }

    fn open(index: usize, device: &Device) -> Result<Self, DeviceError> {
        let transport = Transport::open(index, device)?;
        let first = device.first_event as usize;
        Ok(Self { transport, features: 0, events: first..first.saturating_add(device.event_count as usize) })
    }

    /// Resets the device and agrees on features: those that `choose` picks from what it offers, and virtio 1.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub fn begin(&mut self, choose: impl FnOnce(u64) -> u64) -> Result<(), DeviceError> {
        self.transport.reset()?;
        self.transport.set_status(status::ACKNOWLEDGE);
        self.transport.set_status(status::ACKNOWLEDGE | status::DRIVER);
        let offered = self.transport.offered_features();
        if offered & FEATURE_VERSION_1 == 0 {
            return Err(DeviceError::Legacy);
        }
        self.features = offered & (choose(offered) | FEATURE_VERSION_1);
        self.transport.accept_features(self.features);
        self.transport.set_status(status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK);
        // The device takes the bit back if it does not agree (virtio 1.2, 3.1.1 step 6).
        if self.transport.status() & status::FEATURES_OK == 0 {
            return Err(DeviceError::FeaturesRefused);
        }
        Ok(())
    }

    /// Makes queue `number`, of at most `limit` entries.
    ///
    /// # Errors
    ///
    /// See [`DeviceError`].
    pub fn queue(&self, number: u16, limit: u16, name: &str) -> Result<DeviceQueue, DeviceError> {
        let size = self.transport.queue_size_limit(number).min(limit).min(MAX_SIZE);
        let size = size.checked_ilog2().map(|shift| 1 << shift).ok_or(TransportError::NoSuchQueue)?;
        let layout = QueueLayout::new(size).ok_or(QueueError::BadSize)?;
        let memory = DmaRegion::new(Area::ServiceState, layout.total_bytes(), name)?;
        let rings = Virtqueue::new(memory, size, self.notification())?;
        let doorbell = self.transport.enable_queue(number, size, &rings.addresses())?;
        Ok(DeviceQueue { rings, doorbell, doorbells: 0 })
    }

    /// Tells the device that the driver is set up: it works from now on.
    pub fn start(&self) {
        let ready = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK | status::DRIVER_OK;
        self.transport.set_status(ready);
    }

    /// Resets the device, so that it touches no memory any more.
    ///
    /// # Errors
    ///
    /// As [`Transport::reset`].
    pub fn stop(&self) -> Result<(), DeviceError> {
        Ok(self.transport.reset()?)
    }

    /// Returns the features agreed on.
    #[must_use]
    pub const fn features(&self) -> u64 {
        self.features
    }

    /// Returns the events that the device's interrupts count; empty if it has none and must be polled.
    #[must_use]
    pub fn events(&self) -> Range<usize> {
        self.events.clone()
    }

    /// Returns the registers.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    const fn notification(&self) -> Notification {
        if self.features & FEATURE_EVENT_INDEX == 0 { Notification::Flag } else { Notification::EventIndex }
    }
}

impl DeviceQueue {
    /// Shows the device what was added, and rings the doorbell if it wants to hear of it.
    pub fn publish(&mut self) {
        if self.rings.publish() {
            self.doorbell.ring();
            self.doorbells += 1;
        }
    }

    /// Returns how often the doorbell was rung.
    #[must_use]
    pub const fn doorbells(&self) -> u64 {
        self.doorbells
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Queue(error) => error.fmt(f),
            Self::Memory(error) => write!(f, "memory for the device's rings: {error}"),
            Self::Legacy => f.write_str("legacy virtio device; start it with disable-legacy=on"),
            Self::FeaturesRefused => f.write_str("device refused the features that it had offered"),
        }
    }
}

impl core::error::Error for DeviceError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Queue(error) => Some(error),
            Self::Memory(error) => Some(error),
            Self::Legacy | Self::FeaturesRefused => None,
        }
    }
}

impl From<TransportError> for DeviceError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<QueueError> for DeviceError {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

impl From<memory::Error> for DeviceError {
    fn from(error: memory::Error) -> Self {
        Self::Memory(error)
    }
}

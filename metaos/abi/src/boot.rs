//! What the machine tells a guest at its start.

/// Most devices that are handed over.
pub const MAX_DEVICES: usize = 32;
/// Most windows of one device.
pub const MAX_WINDOWS: usize = 6;

/// Boot information. Ring 3 sees it read-only at [`crate::layout::BOOT_INFO`]; the guest's start routine gets its
/// address in `rdi`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Number of CPUs that run this guest.
    pub cpus: u32,
    /// Memory that is free for the guest at its start, in bytes.
    pub memory_bytes: u64,
    /// Bytes of command line that follow this structure.
    pub command_line_length: u32,
    /// Valid entries in `devices`.
    pub device_count: u32,
    /// The devices found.
    pub devices: [Device; MAX_DEVICES],
}

impl BootInfo {
    /// Returns the devices that were found.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        let count = usize::try_from(self.device_count).unwrap_or(0).min(MAX_DEVICES);
        &self.devices[..count]
    }
}

/// How a device is reached: [`Device::transport`].
pub mod transport {
    /// virtio over PCI (virtio 1.2, 4.1).
    pub const VIRTIO_PCI: u32 = 1;
    /// virtio over MMIO (virtio 1.2, 4.2): `regions[0]` is the register block.
    pub const VIRTIO_MMIO: u32 = 2;
    /// No registers: the machine below carries the device out and takes requests ([`crate::DeviceRequest`]).
    pub const REQUESTS: u32 = 3;
}

/// Index of a region in [`Device::regions`] of a virtio PCI device.
pub mod region {
    /// Common configuration (virtio 1.2, 4.1.4.3); the register block of an MMIO device.
    pub const COMMON: usize = 0;
    /// Notification area (4.1.4.4).
    pub const NOTIFY: usize = 1;
    /// ISR status (4.1.4.5).
    pub const ISR: usize = 2;
    /// Device configuration (4.1.4.6).
    pub const DEVICE: usize = 3;
    /// Number of regions.
    pub const COUNT: usize = 4;
}

/// One device.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Device {
    /// One of [`transport`].
    pub transport: u32,
    /// virtio device type (virtio 1.2, 5): 1 network, 2 block, 4 entropy, 3 console.
    pub kind: u32,
    /// Multiplier of queue notification offsets (virtio 1.2, 4.1.4.4); 0 for MMIO.
    pub notify_multiplier: u32,
    /// Event of the device's first interrupt vector (MSI-X entry 0, 1, ... in order).
    pub first_event: u32,
    /// Number of vectors, hence events; 0: the device cannot interrupt and must be polled.
    pub event_count: u32,
    /// Valid entries in `windows`.
    pub window_count: u32,
    /// The parts of device space that ring 3 may map.
    pub windows: [Window; MAX_WINDOWS],
    /// Where the register blocks lie within the windows, by [`region`].
    pub regions: [Region; region::COUNT],
}

impl Device {
    /// Returns the parts of device space that ring 3 may map.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        let count = usize::try_from(self.window_count).unwrap_or(0).min(MAX_WINDOWS);
        &self.windows[..count]
    }
}

/// A run of whole pages in device space that belongs to one device (virtio-mmio: to several, see
/// `shared`).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Window {
    /// Physical start, a multiple of the page size.
    pub physical: u64,
    /// Bytes, a multiple of the page size.
    pub length: u64,
    /// 1 if other devices' registers lie in the same pages.
    pub shared: u64,
}

/// A register block within a window.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Region {
    /// Index of the window.
    pub window: u32,
    /// Offset in the window, in bytes.
    pub offset: u32,
    /// Bytes; 0: the device has no such block.
    pub length: u64,
}

//! Devices: virtio over PCI and MMIO, the network, entropy, the console.
//!
//! Everything that a device writes is hostile until checked: a ring index, an identifier, a length, a capability
//! of its configuration. A device that breaks the rules gets a typed error and a reset, never an access out of
//! bounds.

pub mod console;
pub mod device;
pub mod dma;
pub mod entropy;
pub mod net;
pub mod transport;
pub mod virtqueue;
pub mod volatile;

//! What was agreed with a network device, and how many buffers it gets.

use super::error::NetError;
use super::header::HEADER_BYTES;
use crate::io::device::{FEATURE_EVENT_INDEX, VirtioDevice};

/// Feature bits of virtio-net (virtio 1.2, 5.1.3).
pub(super) mod feature {
    use super::FEATURE_EVENT_INDEX;

    /// The device fills in checksums.
    pub(in crate::io::net) const CHECKSUM: u64 = 1 << 0;
    /// The driver takes frames whose checksum is not filled in.
    pub(in crate::io::net) const GUEST_CHECKSUM: u64 = 1 << 1;
    pub(in crate::io::net) const MTU: u64 = 1 << 3;
    pub(in crate::io::net) const MAC: u64 = 1 << 5;
    /// The driver takes TCP segments of up to 64 KiB.
    pub(in crate::io::net) const GUEST_TSO4: u64 = 1 << 7;
    /// The device cuts TCP segments of up to 64 KiB.
    pub(in crate::io::net) const HOST_TSO4: u64 = 1 << 11;

    /// What the driver asks for. The two segmentation features follow when the stack above uses them: large receive
    /// costs 68 KiB a buffer.
    pub(in crate::io::net) const WANTED: u64 = CHECKSUM | GUEST_CHECKSUM | MTU | MAC | FEATURE_EVENT_INDEX;
}

/// Offsets in the device's configuration (virtio 1.2, 5.1.4).
const CONFIGURATION_MAC: usize = 0;
const CONFIGURATION_MTU: usize = 10;

const DEFAULT_MTU: usize = 1500;
/// An IPv4 host takes at least this (RFC 791).
const LEAST_MTU: usize = 576;
/// The largest jumbo frames in use carry 9 216 bytes.
const LARGEST_MTU: usize = 9216;
/// Ethernet header with one VLAN tag.
const ETHERNET_BYTES: usize = 18;

const SMALL_BUFFER: usize = 2 << 10;
/// virtio wants 65 562 bytes for a large frame (5.1.6.3.1).
const LARGE_BUFFER: usize = 68 << 10;
const LARGEST_COUNT: usize = 256;

/// What the device does for the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// It fills in transport checksums: [`super::Offload::Checksum`].
    pub fills_checksums: bool,
    /// It says which frames have a good checksum: [`super::Checksum::Verified`].
    pub verifies_checksums: bool,
    /// It cuts large TCP segments: [`super::Offload::SegmentTcp4`].
    pub cuts_segments: bool,
    /// It hands over TCP segments of up to 64 KiB as one frame.
    pub joins_segments: bool,
}

/// Sizes and counts of one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) mtu: usize,
    pub(super) capabilities: Capabilities,
    pub(super) receive_size: usize,
    pub(super) receive_buffers: u16,
    pub(super) transmit_size: usize,
    pub(super) transmit_buffers: u16,
}

impl Plan {
    /// Plans for a device whose features are agreed on, in a guest with `memory` bytes.
    pub(super) fn new(device: &VirtioDevice, memory: u64) -> Result<Self, NetError> {
        let mtu = match device.features() & feature::MTU {
            0 => DEFAULT_MTU,
            _ => usize::from(u16::from_le_bytes(device.transport().configuration(CONFIGURATION_MTU)?)),
        };
        Ok(Self::calculate(device.features(), mtu, memory))
    }

    fn calculate(features: u64, mtu: usize, memory: u64) -> Self {
        let mtu = mtu.clamp(LEAST_MTU, LARGEST_MTU);
        let has = |bit| features & bit != 0;
        let capabilities = Capabilities {
            fills_checksums: has(feature::CHECKSUM),
            verifies_checksums: has(feature::GUEST_CHECKSUM),
            cuts_segments: has(feature::HOST_TSO4),
            joins_segments: has(feature::GUEST_TSO4),
        };
        let small = small_buffer(mtu);
        let receive_size = if capabilities.joins_segments { LARGE_BUFFER } else { small };
        let receive_share = if capabilities.joins_segments { memory / 4 } else { memory / 16 };
        let transmit_size = if capabilities.cuts_segments { LARGE_BUFFER } else { small };
        Self {
            mtu,
            capabilities,
            receive_size,
            receive_buffers: count(receive_share, receive_size),
            transmit_size,
            transmit_buffers: count(memory / 32, transmit_size),
        }
    }
}

/// Reads the hardware address, if the device has one.
pub(super) fn mac(device: &VirtioDevice) -> Result<Option<[u8; 6]>, NetError> {
    if device.features() & feature::MAC == 0 {
        return Ok(None);
    }
    Ok(Some(device.transport().configuration(CONFIGURATION_MAC)?))
}

/// Returns the bytes of a buffer for one frame: a divisor of a mapped chunk, or whole pages.
fn small_buffer(mtu: usize) -> usize {
    let least = HEADER_BYTES + ETHERNET_BYTES + mtu;
    if least <= SMALL_BUFFER { SMALL_BUFFER } else { least.next_multiple_of(abi::PAGE_SIZE) }
}

/// Returns how many buffers of `size` bytes a share of the memory gives: never so few that a burst is lost, never more
/// than a queue takes.
fn count(share: u64, size: usize) -> u16 {
    let least = if size == LARGE_BUFFER { 8 } else { 16 };
    let fitting = usize::try_from(share).unwrap_or(usize::MAX) / size;
    u16::try_from(fitting.clamp(least, LARGEST_COUNT)).expect("the largest count fits 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_machine_gives_a_sixteenth_for_receiving() {
        let plan = Plan::calculate(feature::MAC, 1500, 6 << 20);
        assert_eq!((plan.receive_size, plan.receive_buffers), (2048, 192));
        assert_eq!(plan.transmit_buffers, 96);
        assert_eq!(Plan::calculate(0, 1500, 0).receive_buffers, 16);
        assert_eq!(Plan::calculate(0, 1500, u64::MAX).receive_buffers, 256);
    }

    #[test]
    fn large_receive_takes_large_buffers() {
        let plan = Plan::calculate(feature::GUEST_TSO4, 1500, 64 << 20);
        assert_eq!((plan.receive_size, plan.receive_buffers), (68 << 10, 240));
        assert_eq!(Plan::calculate(feature::GUEST_TSO4, 1500, 1 << 20).receive_buffers, 8);
    }

    #[test]
    fn an_absurd_mtu_is_brought_within_bounds() {
        assert_eq!(Plan::calculate(feature::MTU, 0, 1 << 30).mtu, LEAST_MTU);
        let jumbo = Plan::calculate(feature::MTU, 65535, 1 << 30);
        assert_eq!((jumbo.mtu, jumbo.receive_size), (LARGEST_MTU, 12 << 10));
    }
}

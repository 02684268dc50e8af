//! What was agreed with a network device, and how much memory it gets.
//!
//! Large frames cost no memory of their own. What is sent goes into one ring of bytes, where a large frame takes a long
//! stretch and a small one a short one. What comes in may span several small buffers (`VIRTIO_NET_F_MRG_RXBUF`) that
//! are consecutive in virtual memory; the other way, buffers of 64 KiB each, would take 17 MiB for a full queue, and
//! a frame of 60 bytes would keep one of them as well. A machine too small for a few large frames at once does without
//! large receive, and sends segments as large as its ring bears.

use super::error::NetError;
use super::header::HEADER_BYTES;
use super::offloads::Offloads;
use crate::io::device::{FEATURE_EVENT_INDEX, VirtioDevice};

/// Feature bits of virtio-net (virtio 1.2, 5.1.3).
pub(super) mod feature {
    /// The device fills in checksums.
    pub(in crate::io::net) const CHECKSUM: u64 = 1 << 0;
    /// The driver takes frames whose checksum is not filled in.
    pub(in crate::io::net) const GUEST_CHECKSUM: u64 = 1 << 1;
    pub(in crate::io::net) const MTU: u64 = 1 << 3;
    pub(in crate::io::net) const MAC: u64 = 1 << 5;
    /// The driver takes TCP segments of up to 64 KiB.
    pub(in crate::io::net) const GUEST_TSO4: u64 = 1 << 7;
    pub(in crate::io::net) const GUEST_TSO6: u64 = 1 << 8;
    /// The device cuts TCP segments of up to 64 KiB.
    pub(in crate::io::net) const HOST_TSO4: u64 = 1 << 11;
    pub(in crate::io::net) const HOST_TSO6: u64 = 1 << 12;
    /// A frame that comes in may span several buffers.
    pub(in crate::io::net) const MERGED_BUFFERS: u64 = 1 << 15;

    pub(in crate::io::net) const GUEST_TSO: u64 = GUEST_TSO4 | GUEST_TSO6;
    pub(in crate::io::net) const HOST_TSO: u64 = HOST_TSO4 | HOST_TSO6;
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
/// The longest IP packet, in an Ethernet frame.
const LARGEST_FRAME: usize = 65_535 + ETHERNET_BYTES;

const SMALL_BUFFER: usize = 2 << 10;
/// Largest number of buffers, and of entries of a queue.
const LARGEST_COUNT: usize = 256;
const LEAST_COUNT: usize = 16;
/// Receive memory that bears large frames: one that waits, one that comes, and as much again.
const LEAST_FOR_LARGE: usize = 256 << 10;

/// Bounds of the ring that is sent from, in bytes.
const LEAST_RING: usize = 32 << 10;
const LARGEST_RING: usize = 512 << 10;
/// The longest frame takes at most this share of the ring, so that one is filled while others are under way.
const RING_FRAMES: usize = 4;
/// Bytes of the ring for which there is an entry in the queue.
const BYTES_PER_ENTRY: usize = 512;

/// What the device does for the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// It fills in transport checksums: [`super::Offload::Checksum`].
    pub fills_checksums: bool,
    /// It cuts large TCP segments over IPv4: [`super::Offload::Segment`].
    pub cuts_ipv4: bool,
    /// It cuts large TCP segments over IPv6: [`super::Offload::Segment`].
    pub cuts_ipv6: bool,
    /// It hands over TCP segments of up to 64 KiB as one frame.
    pub joins_segments: bool,
    /// Length of the longest frame that may be sent, in bytes; longer than the MTU allows only if the device cuts it.
    pub frame_limit: usize,
}

/// Sizes and counts of one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) mtu: usize,
    pub(super) capabilities: Capabilities,
    pub(super) receive_size: usize,
    pub(super) receive_buffers: u16,
    /// Buffers that one frame may span.
    pub(super) receive_parts: u16,
    pub(super) transmit_bytes: usize,
    pub(super) transmit_entries: u16,
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
        let joins_segments = has(feature::MERGED_BUFFERS);
        let receive_size = receive_size(mtu, memory, joins_segments);
        let parts = if joins_segments { (HEADER_BYTES + LARGEST_FRAME).div_ceil(receive_size) } else { 1 };
        let frame_bytes = HEADER_BYTES + ETHERNET_BYTES + mtu;
        let transmit_bytes = ring_bytes(memory, frame_bytes);
        let share = if has(feature::HOST_TSO) { transmit_bytes / RING_FRAMES } else { 0 };
        let capabilities = Capabilities {
            fills_checksums: has(feature::CHECKSUM),
            cuts_ipv4: has(feature::HOST_TSO4),
            cuts_ipv6: has(feature::HOST_TSO6),
            joins_segments,
            frame_limit: (share.max(frame_bytes) - HEADER_BYTES).min(LARGEST_FRAME),
        };
        let entries = (transmit_bytes / BYTES_PER_ENTRY).min(LARGEST_COUNT);
        Self {
            mtu,
            capabilities,
            receive_size,
            receive_buffers: short(receive_count(memory, receive_size)),
            receive_parts: short(parts),
            transmit_bytes,
            transmit_entries: short(entries),
        }
    }
}

/// Chooses from the features that a device offers. `memory` are the bytes of the guest, `queue` the entries that the
/// receive queue can have.
pub(super) fn choose(offered: u64, allowed: Offloads, memory: u64, queue: u16) -> u64 {
    let mut features = offered & (feature::MTU | feature::MAC | wanted(allowed));
    // The device refuses one without the other (virtio 1.2, 5.1.3.1).
    if features & feature::CHECKSUM == 0 {
        features &= !feature::HOST_TSO;
    }
    let receive_bytes = receive_count(memory, SMALL_BUFFER).min(usize::from(queue)) * SMALL_BUFFER;
    let bears_large = receive_bytes >= LEAST_FOR_LARGE;
    if features & feature::GUEST_CHECKSUM == 0 || features & feature::MERGED_BUFFERS == 0 || !bears_large {
        features &= !feature::GUEST_TSO;
    }
    if features & feature::GUEST_TSO == 0 {
        features &= !feature::MERGED_BUFFERS;
    }
    features
}

/// Reads the hardware address, if the device has one.
pub(super) fn mac(device: &VirtioDevice) -> Result<Option<[u8; 6]>, NetError> {
    if device.features() & feature::MAC == 0 {
        return Ok(None);
    }
    Ok(Some(device.transport().configuration(CONFIGURATION_MAC)?))
}

fn wanted(allowed: Offloads) -> u64 {
    let parts = [
        (Offloads::CHECKSUMS, feature::CHECKSUM | feature::GUEST_CHECKSUM),
        (Offloads::SEGMENTATION, feature::HOST_TSO),
        (Offloads::LARGE_RECEIVE, feature::GUEST_TSO | feature::MERGED_BUFFERS),
        (Offloads::EVENT_INDEX, FEATURE_EVENT_INDEX),
    ];
    parts.iter().filter(|(offload, _)| allowed.contains(*offload)).fold(0, |sum, (_, bits)| sum | bits)
}

/// Returns the bytes of a buffer for one frame: a divisor of a mapped chunk, or whole pages.
fn small_buffer(mtu: usize) -> usize {
    let least = HEADER_BYTES + ETHERNET_BYTES + mtu;
    if least <= SMALL_BUFFER { SMALL_BUFFER } else { least.next_multiple_of(abi::PAGE_SIZE) }
}

/// Returns the bytes of a receive buffer. Where memory gives a full queue of them, those of large frames are pages: half
/// as many a frame saved 65 000 instructions a MiB that came in (5.37 to 5.30 million, the program's own included), and
/// buffers of 68 KiB would have saved as much again for 17 MB more.
fn receive_size(mtu: usize, memory: u64, joins_segments: bool) -> usize {
    let small = small_buffer(mtu);
    let bears_pages = memory / 16 >= (LARGEST_COUNT * abi::PAGE_SIZE) as u64;
    if joins_segments && bears_pages { small.max(abi::PAGE_SIZE) } else { small }
}

/// Returns how many buffers of `size` bytes a sixteenth of the memory gives: never so few that a burst is lost, never
/// more than a queue takes.
fn receive_count(memory: u64, size: usize) -> usize {
    let fitting = usize::try_from(memory / 16).unwrap_or(usize::MAX) / size;
    fitting.clamp(LEAST_COUNT, LARGEST_COUNT)
}

/// Returns the bytes of the ring that is sent from: a thirty-second of the memory, whole pages, and enough for some
/// frames of `frame_bytes`.
fn ring_bytes(memory: u64, frame_bytes: usize) -> usize {
    let share = usize::try_from(memory / 32).unwrap_or(usize::MAX);
    let bytes = share.clamp(LEAST_RING.max(RING_FRAMES * frame_bytes), LARGEST_RING);
    let unit = if bytes < CHUNK { abi::PAGE_SIZE } else { CHUNK };
    bytes / unit * unit
}

/// What is mapped at a time: a ring larger than this consists of such pieces.
const CHUNK: usize = 64 << 10;

fn short(count: usize) -> u16 {
    u16::try_from(count).expect("the largest counts fit 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = feature::CHECKSUM
        | feature::GUEST_CHECKSUM
        | feature::HOST_TSO
        | feature::GUEST_TSO
        | feature::MERGED_BUFFERS;

    #[test]
    fn a_small_machine_gives_a_sixteenth_for_receiving() {
        let plan = Plan::calculate(feature::MAC, 1500, 6 << 20);
        assert_eq!((plan.receive_size, plan.receive_buffers), (2048, 192));
        assert_eq!((plan.transmit_bytes, plan.transmit_entries), (192 << 10, 256));
        assert_eq!(Plan::calculate(0, 1500, 0).receive_buffers, 16);
        assert_eq!(Plan::calculate(0, 1500, u64::MAX).receive_buffers, 256);
        let least = Plan::calculate(ALL, 1500, 0);
        assert_eq!((least.transmit_bytes, least.transmit_entries), (32 << 10, 64));
    }

    #[test]
    fn large_frames_take_no_more_memory_than_small_ones_on_a_small_machine() {
        for memory in [2 << 20, 8 << 20, 64 << 20, 1 << 30] {
            let [small, large] = [0, ALL].map(|features| Plan::calculate(features, 1500, memory));
            assert_eq!(small.transmit_bytes, large.transmit_bytes);
            assert_eq!(small.receive_buffers, large.receive_buffers);
            let parts = if memory < 16 << 20 { (2048, 33) } else { (4096, 17) };
            assert_eq!((large.receive_size, large.receive_parts), parts);
            assert_eq!((small.receive_size, small.receive_parts), (2048, 1));
        }
    }

    #[test]
    fn the_longest_frame_is_what_the_ring_bears() {
        let limit = |features, memory| Plan::calculate(features, 1500, memory).capabilities.frame_limit;
        assert_eq!(limit(feature::HOST_TSO4, 64 << 20), LARGEST_FRAME);
        assert_eq!(limit(feature::HOST_TSO4, 2 << 20), (16 << 10) - HEADER_BYTES);
        assert_eq!(limit(0, 64 << 20), 1518);
    }

    #[test]
    fn an_absurd_mtu_is_brought_within_bounds() {
        assert_eq!(Plan::calculate(feature::MTU, 0, 1 << 30).mtu, LEAST_MTU);
        let jumbo = Plan::calculate(feature::MTU, 65535, 0);
        assert_eq!((jumbo.mtu, jumbo.receive_size), (LARGEST_MTU, 12 << 10));
        assert!(jumbo.transmit_bytes >= 3 * LARGEST_MTU);
    }

    #[test]
    fn what_needs_something_else_is_not_chosen_without_it() {
        let all = Offloads::all();
        assert_eq!(choose(ALL, all, 64 << 20, 256), ALL);
        assert_eq!(choose(ALL | 1 << 40, all, 64 << 20, 256), ALL, "nobody knows what that is");
        assert_eq!(choose(ALL, all - Offloads::CHECKSUMS, 64 << 20, 256), 0);
        assert_eq!(choose(ALL & !feature::MERGED_BUFFERS, all, 64 << 20, 256) & feature::GUEST_TSO, 0);
        assert_eq!(choose(ALL, Offloads::empty(), 64 << 20, 256), 0);
    }

    #[test]
    fn a_machine_or_a_queue_too_small_for_large_frames_receives_none() {
        let all = Offloads::all();
        let large = feature::GUEST_TSO | feature::MERGED_BUFFERS;
        assert_eq!(choose(ALL, all, 4 << 20, 256) & large, large);
        assert_eq!(choose(ALL, all, 2 << 20, 256) & large, 0);
        assert_eq!(choose(ALL, all, 64 << 20, 64) & large, 0);
    }
}

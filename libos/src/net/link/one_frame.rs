//! The device that smoltcp sees: one frame to read, and places for frames to write.

use super::Local;
use crate::net::checksum;
use crate::net::device::{Capabilities, Checksums, Finish, Outlet};
use crate::net::frame::ETHERNET_HEADER;
use alloc::vec;
use core::num::NonZeroU16;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant;

/// Bytes of the headers, at most, whose unused fields smoltcp leaves as they were.
const HEADERS: usize = 64;

/// The device for one call of the interface.
pub(super) struct OneFrame<'a> {
    frame: Option<&'a [u8]>,
    output: Output<'a>,
}

/// Why a frame is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A TCP socket sends it.
    Segment,
    /// Another socket sends it.
    Datagram,
    /// It answers the frame that is read; it may be anything.
    Reply,
}

/// Whether a place for a frame was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Yes,
    /// It was, and there was none.
    ButFull,
}

/// A device that only says what it is, for the making of an interface.
pub(super) struct Description(DeviceCapabilities);

pub(super) struct Incoming<'a>(&'a [u8]);

pub(super) struct Outgoing<'a, 'b> {
    output: &'a mut Output<'b>,
    /// Bytes of the segments that the device shall make of it.
    cut: Option<NonZeroU16>,
}

/// The way out for nothing.
pub(super) struct Nowhere;

struct Output<'a> {
    transmitter: &'a mut dyn Outlet,
    local: Option<&'a mut Local>,
    capabilities: &'a DeviceCapabilities,
    origin: Origin,
    asked: Asked,
}

impl<'a> OneFrame<'a> {
    /// Makes the device. Without `local`, frames go to the transmitter unseen.
    pub(super) const fn new(
        frame: Option<&'a [u8]>,
        transmitter: &'a mut dyn Outlet,
        local: Option<&'a mut Local>,
        capabilities: &'a DeviceCapabilities,
        origin: Origin,
    ) -> Self {
        Self { frame, output: Output { transmitter, local, capabilities, origin, asked: Asked::No } }
    }

    pub(super) const fn asked(&self) -> Asked {
        self.output.asked
    }
}

impl Output<'_> {
    /// Whether the stack leaves TCP checksums out.
    fn leaves_checksums(&self) -> bool {
        !self.capabilities.checksum.tcp.tx()
    }

    /// Hands a frame on, or keeps one that is for us. What writes it is called by reference: there are many such, and
    /// each would have a copy of all below.
    fn put<R>(&mut self, length: usize, cut: Option<NonZeroU16>, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let (mut write, mut result) = (Some(write), None);
        let mut write = |frame: &mut [u8]| result = write.take().map(|write| write(frame));
        if self.local.is_some() {
            self.transmit_or_keep(length, cut, &mut write);
        } else {
            self.transmit(length, cut, &mut write);
        }
        result.expect("each way writes the frame once")
    }

    #[inline(never)]
    fn transmit(&mut self, length: usize, cut: Option<NonZeroU16>, write: &mut dyn FnMut(&mut [u8])) {
        let (origin, leaves_checksums) = (self.origin, self.leaves_checksums());
        self.transmitter.transmit(length, &mut |frame| {
            if origin == Origin::Reply {
                frame[..length.min(HEADERS)].fill(0);
            }
            write(frame);
            let is_segment = leaves_checksums && origin != Origin::Datagram;
            if is_segment { begin(frame, cut) } else { Finish::Nothing }
        });
    }

    /// Writes a frame that may be for us.
    #[inline(never)]
    fn transmit_or_keep(&mut self, length: usize, cut: Option<NonZeroU16>, write: &mut dyn FnMut(&mut [u8])) {
        let mut frame = vec![0; length];
        write(&mut frame);
        match &mut self.local {
            // Nobody looks at checksums on this way.
            Some(local) if local.is_for_us(&frame) => local.take(frame),
            // Segments are cut by the device.
            Some(local)
                if self.origin == Origin::Datagram && length > self.capabilities.max_transmission_unit =>
            {
                local.pieces.cut(&frame, self.capabilities.max_transmission_unit - ETHERNET_HEADER);
            }
            _ => self.transmit(length, cut, &mut |buffer| buffer.copy_from_slice(&frame)),
        }
    }
}

/// Prepares a frame without a TCP checksum for the device, and says what is left to do.
fn begin(frame: &mut [u8], cut: Option<NonZeroU16>) -> Finish {
    // A TCP socket also sends requests for addresses, and what answers a frame may be anything.
    match (checksum::begin(frame), cut) {
        (None, _) => Finish::Nothing,
        (Some(place), None) => Finish::Checksum(place),
        (Some(place), Some(size)) => Finish::Cut(place, size),
    }
}

impl Description {
    pub(super) const fn new(capabilities: DeviceCapabilities) -> Self {
        Self(capabilities)
    }
}

impl<'a> Device for OneFrame<'a> {
    type RxToken<'b>
        = Incoming<'a>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b, 'a>
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let frame = self.frame.take()?;
        Some((Incoming(frame), Outgoing { output: &mut self.output, cut: None }))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        if self.output.local.is_none() && !self.output.transmitter.has_room() {
            self.output.asked = Asked::ButFull;
            return None;
        }
        self.output.asked = Asked::Yes;
        Some(Outgoing { output: &mut self.output, cut: None })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.output.capabilities.clone()
    }
}

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Outgoing<'_, '_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        self.output.put(length, self.cut, write)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.cut = meta.segmentation_offload_size;
    }
}

impl Device for Description {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Nowhere;

    fn receive(&mut self, _now: Instant) -> Option<(Incoming<'_>, Nowhere)> {
        None
    }

    fn transmit(&mut self, _now: Instant) -> Option<Nowhere> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.clone()
    }
}

impl TxToken for Nowhere {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        write(&mut vec![0; length])
    }
}

/// Says in smoltcp's words what a device can do.
pub(super) fn device_capabilities(device: Capabilities) -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.max_transmission_unit = device.mtu + ETHERNET_HEADER;
    // What comes in is checked before it gets here, see the module `checksum`.
    capabilities.checksum.udp = Checksum::Tx;
    capabilities.checksum.tcp = match device.checksums {
        Checksums::Stack => Checksum::Tx,
        Checksums::Device => Checksum::None,
    };
    if device.checksums == Checksums::Device {
        capabilities.segmentation.tcpv4 = device.cuts_ipv4;
        capabilities.segmentation.tcpv6 = device.cuts_ipv6;
    }
    capabilities
}

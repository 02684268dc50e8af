//! The device that smoltcp sees: one frame to read, and places for frames to write.

use super::Local;
use crate::net::checksum::{self, LEAST_TCP_FRAME};
use crate::net::device::{Capabilities, Checksums, Finish, Transmitter};
use crate::net::frame::ETHERNET_HEADER;
use alloc::vec;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;

/// Bytes of the headers, at most, whose unused fields smoltcp leaves as they were.
const HEADERS: usize = 64;

/// The device for one call of the interface.
pub(super) struct OneFrame<'a, T> {
    frame: Option<&'a [u8]>,
    output: Output<'a, T>,
}

/// Why a frame is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A TCP socket sends it, by IPv4.
    Segment,
    /// A TCP socket sends it, by IPv6.
    SegmentV6,
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

pub(super) struct Outgoing<'a, 'b, T>(&'a mut Output<'b, T>);

/// The way out for nothing.
pub(super) struct Nowhere;

struct Output<'a, T> {
    transmitter: &'a mut T,
    local: Option<&'a mut Local>,
    capabilities: &'a DeviceCapabilities,
    origin: Origin,
    asked: Asked,
}

impl<'a, T: Transmitter> OneFrame<'a, T> {
    /// Makes the device. Without `local`, frames go to the transmitter unseen.
    pub(super) const fn new(
        frame: Option<&'a [u8]>,
        transmitter: &'a mut T,
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

impl<T: Transmitter> Output<'_, T> {
    /// Whether the stack leaves TCP checksums out.
    fn leaves_checksums(&self) -> bool {
        !self.capabilities.checksum.tcp.tx()
    }

    fn transmit<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        match self.origin {
            // A TCP socket also sends ARP requests, which are shorter.
            Origin::Segment if self.leaves_checksums() && length >= LEAST_TCP_FRAME => {
                self.transmitter.transmit(length, Finish::TcpChecksum, |frame| {
                    let result = write(frame);
                    checksum::begin(frame);
                    result
                })
            }
            Origin::Segment | Origin::Datagram => self.transmitter.transmit(length, Finish::Nothing, write),
            Origin::SegmentV6 | Origin::Reply => {
                let leaves_checksums = self.leaves_checksums();
                self.transmitter.transmit(length, Finish::Nothing, |frame| {
                    frame[..length.min(HEADERS)].fill(0);
                    let result = write(frame);
                    if leaves_checksums {
                        checksum::complete(frame);
                    }
                    result
                })
            }
        }
    }

    /// Writes a frame that may be for us.
    fn transmit_or_keep<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        if self.leaves_checksums() {
            checksum::complete(&mut frame);
        }
        match &mut self.local {
            Some(local) if local.is_for_us(&frame) => local.take(frame),
            _ => self.transmitter.transmit(length, Finish::Nothing, |buffer| buffer.copy_from_slice(&frame)),
        }
        result
    }
}

impl Description {
    pub(super) const fn new(capabilities: DeviceCapabilities) -> Self {
        Self(capabilities)
    }
}

impl<'a, T: Transmitter> Device for OneFrame<'a, T> {
    type RxToken<'b>
        = Incoming<'a>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b, 'a, T>
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let frame = self.frame.take()?;
        Some((Incoming(frame), Outgoing(&mut self.output)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        if self.output.local.is_none() && !self.output.transmitter.has_room() {
            self.output.asked = Asked::ButFull;
            return None;
        }
        self.output.asked = Asked::Yes;
        Some(Outgoing(&mut self.output))
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

impl<T: Transmitter> TxToken for Outgoing<'_, '_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        if self.0.local.is_some() {
            self.0.transmit_or_keep(length, write)
        } else {
            self.0.transmit(length, write)
        }
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
    capabilities
}

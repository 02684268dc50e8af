//! The socket to the guest, as smoltcp's network card.
//!
//! A message is the header of virtio, which says nothing here, and a frame. What the socket does not take at once waits;
//! meanwhile smoltcp is told that the card is busy, so that a guest that does not read costs a bounded amount of memory.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use abi::hosted::network::HEADER;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use stock_smoltcp as smoltcp;

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::EthernetAddress;

use super::refusal;

/// Longest IP packet.
pub(crate) const MTU: u16 = u16::MAX;
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
const LONGEST: usize = HEADER + ETHERNET + MTU as usize;
/// Frames that are taken in one turn, so that a guest that floods does not keep the clients waiting.
const TURN: usize = 256;
/// Frames that wait for room; those beyond are lost, as on any full link.
const WAITING: usize = 64;

/// The card.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    incoming: Box<[u8]>,
    waiting: VecDeque<Vec<u8>>,
    turn: usize,
    is_closed: bool,
    /// The addresses of a gateway that is none.
    refuses_as: Option<(EthernetAddress, Ipv4Addr)>,
}

impl Wire {
    pub(super) fn new(socket: OwnedFd) -> Self {
        let incoming = vec![0; LONGEST].into_boxed_slice();
        let waiting = VecDeque::new();
        Self { socket, incoming, waiting, turn: TURN, is_closed: false, refuses_as: None }
    }

    /// Answers what is for somebody beyond the gateway that has these addresses.
    pub(super) fn refusing_as(self, hardware_address: EthernetAddress, gateway: Ipv4Addr) -> Self {
        Self { refuses_as: Some((hardware_address, gateway)), ..self }
    }

    /// Allows another turn's frames, and sends what waits.
    pub(super) fn begin_turn(&mut self) {
        self.turn = TURN;
        while let Some(message) = self.waiting.front() {
            match send(&self.socket, message, FLAGS) {
                Err(Errno::AGAIN | Errno::NOBUFS) => return,
                Err(Errno::PIPE | Errno::CONNRESET) => self.is_closed = true,
                Ok(_) | Err(_) => {}
            }
            self.waiting.pop_front();
        }
    }

    /// Tells whether the guest has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Tells whether something waits for room.
    pub(super) fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells whether a turn ended before everything was read.
    pub(super) fn has_more(&self) -> bool {
        self.turn == 0
    }

    fn refuse(&mut self, length: usize) {
        let Some((hardware_address, gateway)) = self.refuses_as else { return };
        let Some(answer) = refusal::answer(&self.incoming[HEADER..length], hardware_address, gateway) else {
            return;
        };
        let Self { socket, waiting, .. } = self;
        Outgoing { socket, waiting }.consume(answer.len(), |frame| frame.copy_from_slice(&answer));
    }

    /// Reads a message and returns the bytes of its frame; `None`: there is none.
    fn read(&mut self) -> Option<usize> {
        loop {
            match recv(&self.socket, &mut self.incoming[..], RecvFlags::DONTWAIT) {
                // The guest's end is closed; an empty message from a guest is no better.
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    self.is_closed = true;
                    return None;
                }
                Ok((length, _)) if length > HEADER => return Some(length),
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl Device for Wire {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _timestamp: Instant) -> Option<(Incoming<'_>, Outgoing<'_>)> {
        if self.turn == 0 || self.is_closed || self.waiting.len() >= WAITING {
            return None;
        }
        self.turn -= 1;
        let length = self.read()?;
        self.refuse(length);
        let Self { socket, incoming, waiting, .. } = self;
        Some((Incoming(&incoming[HEADER..length]), Outgoing { socket, waiting }))
    }

    fn transmit(&mut self, _timestamp: Instant) -> Option<Outgoing<'_>> {
        let Self { socket, waiting, .. } = self;
        waiting.is_empty().then_some(Outgoing { socket, waiting })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = ETHERNET + usize::from(MTU);
        // Nothing spoils bytes between two processes; the guest is sent sums all the same, for it checks them.
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities.checksum.udp = Checksum::Tx;
        capabilities
    }
}

/// A frame from the guest.
#[derive(Debug)]
pub(super) struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// Room for a frame to the guest.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    socket: &'a OwnedFd,
    waiting: &'a mut VecDeque<Vec<u8>>,
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut message = vec![0; HEADER + length];
        let result = fill(&mut message[HEADER..]);
        let is_sent = self.waiting.is_empty() && send(self.socket, &message, FLAGS) != Err(Errno::AGAIN);
        if !is_sent && self.waiting.len() < WAITING {
            self.waiting.push_back(message);
        }
        result
    }
}

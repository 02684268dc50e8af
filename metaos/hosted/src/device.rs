//! The network device: virtio-net (virtio 1.2, 5.1), carried out on the guest's own virtqueues.
//!
//! The guest's driver is the same as on any machine. A doorbell is a request that sends at once what the ring holds;
//! what comes in is put into the guest's buffers when it sleeps or attends to the device. Driver and device are one
//! thread, so nothing changes under either's hands.

mod lockstep;
mod packets;
mod queue;
mod single;
mod stream;

use crate::linux::{self, Errno, READABLE, WRITABLE};
use crate::options::{Network, Options};
use crate::{chance, clock, pages};
use abi::DeviceRequest;
use abi::hosted::descriptor;
use abi::info::FIRST_DEVICE_EVENT;
use queue::Queue;
use spin::Mutex;
use stream::Staging;

/// Feature bits (virtio 1.2, 5.1.3 and 6).
mod feature {
    pub(super) const CHECKSUM: u64 = 1;
    pub(super) const GUEST_CHECKSUM: u64 = 1 << 1;
    pub(super) const MTU: u64 = 1 << 3;
    pub(super) const MAC: u64 = 1 << 5;
    pub(super) const GUEST_TSO4: u64 = 1 << 7;
    pub(super) const GUEST_TSO6: u64 = 1 << 8;
    pub(super) const HOST_TSO4: u64 = 1 << 11;
    pub(super) const HOST_TSO6: u64 = 1 << 12;
    pub(super) const MERGED_BUFFERS: u64 = 1 << 15;
    pub(super) const EVENT_INDEX: u64 = 1 << 29;
    pub(super) const VERSION_1: u64 = 1 << 32;
    /// What a peer that finishes frames by itself makes possible.
    pub(super) const OFFLOADS: u64 =
        CHECKSUM | GUEST_CHECKSUM | GUEST_TSO4 | GUEST_TSO6 | HOST_TSO4 | HOST_TSO6 | MERGED_BUFFERS;
}

/// Offsets in the configuration (virtio 1.2, 5.1.4).
const CONFIGURATION_MTU: usize = 10;
const CONFIGURATION_BYTES: usize = 12;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const QUEUES: usize = 2;
const QUEUE_LIMIT: u16 = 256;
const DRIVER_OK: u8 = 4;
/// A guest that never sleeps has its device looked after this often.
const LOOK_INTERVAL_NS: u64 = 50_000;

static CARD: Mutex<Card> = Mutex::new(Card::NONE);

/// The device.
struct Card {
    network: Network,
    mtu: Option<u16>,
    mac: [u8; 6],
    status: u8,
    features: u64,
    queues: [Queue; QUEUES],
    staging: Staging,
    /// The host took no more; what is in the ring waits until it does.
    is_blocked: bool,
    /// The other end is gone.
    is_dead: bool,
    next_look_ns: u64,
}

/// What came of an attempt to move frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// There is nothing more to move.
    Done,
    /// The other side is not ready: the guest lacks buffers, or the host's queue is full.
    Blocked,
    /// The other end is gone.
    Dead,
}

/// Makes the device that `options` name out of the network's descriptor.
pub(crate) fn begin(options: &Options) -> Result<(), Errno> {
    if options.network != Network::Lockstep {
        linux::make_non_blocking(descriptor::NETWORK)?;
    }
    if options.network == Network::Tap {
        linux::set_tap_header(descriptor::NETWORK, abi::hosted::network::HEADER as i32)?;
    }
    let mut card = CARD.lock();
    chance::fill(&mut card.mac);
    // An address of one host, given out locally (IEEE 802, 8.4).
    card.mac[0] = card.mac[0] & !1 | 2;
    card.mtu = options.mtu;
    card.network = options.network;
    if options.network == Network::Stream {
        card.staging = Staging::new()?;
    }
    Ok(())
}

/// Answers a request of the driver.
pub(crate) fn request(request: DeviceRequest) -> u64 {
    let mut card = CARD.lock();
    match request {
        DeviceRequest::Status => return u64::from(card.status),
        DeviceRequest::SetStatus(0) => card.reset(),
        DeviceRequest::SetStatus(status) => card.status = status,
        DeviceRequest::Features => return card.offered(),
        DeviceRequest::AcceptFeatures(features) => card.accept(features),
        DeviceRequest::QueueLimit(queue) => {
            return if usize::from(queue) < QUEUES { u64::from(QUEUE_LIMIT) } else { 0 };
        }
        DeviceRequest::EnableQueue { queue, size, descriptors, available, used } => {
            if let Some(place) = card.queues.get_mut(usize::from(queue)) {
                *place = Queue::new(size.min(QUEUE_LIMIT), descriptors, available, used);
            }
        }
        DeviceRequest::Notify(queue) if usize::from(queue) == TRANSMIT => card.transmit(),
        // At once: what a stream brought too much of is here already, and the host says nothing of it any more.
        DeviceRequest::Notify(_) => card.receive(),
        DeviceRequest::Attend => {
            clock::tick();
            card.attend(clock::now_ns());
        }
        DeviceRequest::Configuration(offset) => return u64::from(card.configuration(usize::from(offset))),
    }
    0
}

/// Tells what the network's descriptor is to be watched for.
pub(crate) fn wanted() -> i16 {
    let card = CARD.lock();
    if !card.works() {
        return 0;
    }
    let lacks_buffers = card.queues[RECEIVE].asks_for_notification();
    (if lacks_buffers { 0 } else { READABLE }) | (if card.is_blocked { WRITABLE } else { 0 })
}

/// Tells whether the run goes in lockstep with what is at the other end.
pub(crate) fn is_lockstep() -> bool {
    let card = CARD.lock();
    card.network == Network::Lockstep && !card.is_dead
}

/// Says until when the guest would sleep, and lets it be told what happens before.
pub(crate) fn step(deadline_ns: u64) {
    let mut card = CARD.lock();
    match lockstep::step(deadline_ns, &mut card.queues[RECEIVE]) {
        Some(now_ns) => clock::move_to(now_ns),
        None => card.is_dead = true,
    }
    pages::count_event(FIRST_DEVICE_EVENT);
}

/// Moves frames, since the host says that it can, and counts the device's event.
pub(crate) fn serve(is_readable: bool) {
    let mut card = CARD.lock();
    if card.is_blocked {
        card.transmit();
    }
    if is_readable {
        card.receive();
    }
    pages::count_event(FIRST_DEVICE_EVENT);
}

impl Card {
    const NONE: Self = Self {
        network: Network::None,
        mtu: None,
        mac: [0; 6],
        status: 0,
        features: 0,
        queues: [Queue::NONE; QUEUES],
        staging: Staging::NONE,
        is_blocked: false,
        is_dead: false,
        next_look_ns: 0,
    };

    fn offered(&self) -> u64 {
        let of_network = match self.network {
            Network::Tap | Network::Packets => feature::OFFLOADS,
            Network::None | Network::Stream | Network::PlainPackets | Network::Lockstep => 0,
        };
        let mtu = if self.mtu.is_some() { feature::MTU } else { 0 };
        feature::VERSION_1 | feature::EVENT_INDEX | feature::MAC | mtu | of_network
    }

    fn accept(&mut self, features: u64) {
        self.features = features & self.offered();
        if self.network == Network::Tap {
            let taken = [(feature::GUEST_CHECKSUM, 1), (feature::GUEST_TSO4, 2), (feature::GUEST_TSO6, 4)];
            let offloads =
                taken.iter().filter(|(bit, _)| self.features & bit != 0).fold(0, |sum, (_, bit)| sum | bit);
            // Refused, the host finishes frames by itself, which costs time only.
            let _: Result<(), Errno> = linux::set_tap_offloads(descriptor::NETWORK, offloads);
        }
    }

    fn reset(&mut self) {
        self.status = 0;
        self.features = 0;
        self.queues = [Queue::NONE; QUEUES];
        self.is_blocked = false;
    }

    fn configuration(&self, offset: usize) -> u8 {
        let mut bytes = [0; CONFIGURATION_BYTES];
        bytes[..6].copy_from_slice(&self.mac);
        bytes[CONFIGURATION_MTU..].copy_from_slice(&self.mtu.unwrap_or(0).to_le_bytes());
        bytes.get(offset).copied().unwrap_or(0)
    }

    const fn works(&self) -> bool {
        self.status & DRIVER_OK != 0 && !self.is_dead
    }

    const fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    fn attend(&mut self, now_ns: u64) {
        if now_ns >= self.next_look_ns {
            self.next_look_ns = now_ns.saturating_add(LOOK_INTERVAL_NS);
            self.receive();
        }
    }

    /// Sends what the ring holds.
    fn transmit(&mut self) {
        if !self.works() {
            return;
        }
        let progress = match self.network {
            Network::Stream => stream::send(&mut self.queues[TRANSMIT], &mut self.staging),
            Network::Tap | Network::Lockstep => single::send(&mut self.queues[TRANSMIT]),
            Network::None | Network::Packets | Network::PlainPackets => {
                packets::send(&mut self.queues[TRANSMIT])
            }
        };
        self.is_blocked = progress == Progress::Blocked;
        self.is_dead |= progress == Progress::Dead;
        self.queues[TRANSMIT].ask_for_notification(self.has(feature::EVENT_INDEX));
    }

    /// Puts what has come in into the guest's buffers.
    fn receive(&mut self) {
        if !self.works() {
            return;
        }
        let queue = &mut self.queues[RECEIVE];
        queue.ask_for_no_notification();
        let merges = self.features & feature::MERGED_BUFFERS != 0;
        let progress = match self.network {
            Network::Stream => stream::receive(queue, &mut self.staging),
            Network::PlainPackets => packets::receive(queue),
            // Comes when the guest sleeps.
            Network::Lockstep => Progress::Done,
            Network::None | Network::Tap | Network::Packets => single::receive(queue, merges),
        };
        self.is_dead |= progress == Progress::Dead;
        if progress == Progress::Blocked {
            queue.ask_for_notification(self.features & feature::EVENT_INDEX != 0);
        }
    }
}

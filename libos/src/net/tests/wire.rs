//! The wire: two hosts, the frames between them, and what happens to the frames.

use super::offloads::Offloads;
use crate::net::config::{Settings, SettingsV6};
use crate::net::connection::{ConnectionId, Received};
use crate::net::device::{Capabilities, Device, Finish, Receiver, Transmitter, Verdict};
use crate::net::error::Error;
use crate::net::pool::BufferPlan;
use crate::net::shard::{Polled, Shard};
use crate::net::stack::Stack;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Ipv4Cidr, Ipv6Cidr};

pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const SERVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const PLAN: BufferPlan =
    BufferPlan { floor: 2 << 10, most: 16 << 10, budget: 1 << 20, limit: 128 };

/// How long a frame is under way.
const DELAY: Duration = Duration::from_micros(100);

pub(crate) struct Queues {
    pub(crate) address: [u8; 6],
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) offloads: Offloads,
}

#[derive(Default)]
pub(crate) struct Incoming(pub(crate) VecDeque<Vec<u8>>, VecDeque<Vec<u8>>);

impl Incoming {
    /// Delivers a frame that the device vouches for.
    pub(crate) fn vouch(&mut self, frame: Vec<u8>) {
        self.1.push_back(frame);
    }
}

pub(crate) struct Outgoing {
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) room: usize,
    pub(crate) flushes: usize,
    offloads: Offloads,
}

impl Device for Queues {
    type Receiver = Incoming;
    type Transmitter = Outgoing;

    fn capabilities(&self) -> Capabilities {
        self.offloads.capabilities(self.address)
    }

    fn parts(&mut self) -> Option<(&mut Incoming, &mut Outgoing)> {
        Some((&mut self.incoming, &mut self.outgoing))
    }

    fn attend(&mut self) {}

    fn flush(&mut self) {
        self.outgoing.flushes += 1;
    }
}

impl Receiver for Incoming {
    fn receive<R>(&mut self, read: impl FnOnce(&[u8], Verdict) -> R) -> Option<R> {
        if let Some(frame) = self.1.pop_front() {
            return Some(read(&frame, Verdict::Right));
        }
        self.0.pop_front().map(|frame| read(&frame, Verdict::Unknown))
    }
}

impl Transmitter for Outgoing {
    fn has_room(&mut self) -> bool {
        self.frames.len() < self.room
    }

    fn transmit<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> (R, Finish)) -> R {
        let mut frame = vec![0xa5; length];
        let (result, finish) = write(&mut frame);
        self.offloads.finish(frame, finish, &mut self.frames);
        result
    }
}

/// What becomes of one frame: after how long it arrives, once for each entry.
pub(crate) type Fate = Vec<Duration>;

/// What decides about the fate of frames, and may change them.
type Judge = Box<dyn FnMut(&mut Vec<u8>) -> Fate>;

/// Frames by the time they arrive.
type UnderWay = BTreeMap<(Instant, u64), (Side, Vec<u8>)>;

/// Two hosts and the wire between them.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) server: Shard<Queues>,
    pub(crate) client: Shard<Queues>,
    pub(crate) fate: Judge,
    under_way: UnderWay,
    sequence: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Side {
    Server,
    Client,
}

impl World {
    /// Two hosts with addresses and a wire that loses nothing.
    pub(crate) fn new() -> Self {
        Self::with_plan(PLAN)
    }

    pub(crate) fn with_plan(plan: BufferPlan) -> Self {
        Self::with_devices(plan, [device(1), device(2)])
    }

    pub(crate) fn with_devices(plan: BufferPlan, [server, client]: [Queues; 2]) -> Self {
        let now = Instant::from_millis(1);
        let mut world = Self {
            now,
            server: Shard::new(server, plan, 1, now),
            client: Shard::new(client, PLAN, 2, now),
            fate: Box::new(|_| vec![DELAY]),
            under_way: BTreeMap::new(),
            sequence: 0,
        };
        world.server.stack().configure(Some(&settings(SERVER)));
        world.client.stack().configure(Some(&settings(CLIENT)));
        world.server.stack().give_v6(settings_v6(SERVER_V6), now);
        world.client.stack().give_v6(settings_v6(CLIENT_V6), now);
        world
    }

    pub(crate) fn shard(&mut self, side: Side) -> &mut Shard<Queues> {
        match side {
            Side::Server => &mut self.server,
            Side::Client => &mut self.client,
        }
    }

    /// Lets both hosts work until nothing more can be done at this moment, then takes what they send.
    pub(crate) fn settle(&mut self) {
        for side in [Side::Server, Side::Client] {
            for _ in 0..1000 {
                let now = self.now;
                let shard = self.shard(side);
                let polled = shard.poll(now);
                let is_due = shard.deadline(now).is_some_and(|deadline| deadline <= now);
                if polled == Polled::Nothing && !is_due {
                    break;
                }
            }
            let sent = core::mem::take(&mut self.shard(side).device().outgoing.frames);
            for frame in sent {
                self.send(side, frame);
            }
        }
    }

    /// Goes on to the next moment at which something happens; `false` if nothing will.
    pub(crate) fn step(&mut self) -> bool {
        self.settle();
        let Some(next) = self.next_event() else { return false };
        self.go_to(next);
        true
    }

    fn next_event(&self) -> Option<Instant> {
        let arrival = self.under_way.keys().next().map(|(at, _)| *at);
        let deadlines = [self.server.deadline(self.now), self.client.deadline(self.now)];
        let next = deadlines.into_iter().flatten().chain(arrival).min()?;
        Some(next.max(self.now + Duration::from_micros(1)))
    }

    fn go_to(&mut self, next: Instant) {
        self.now = next;
        while let Some(entry) = self.under_way.first_entry()
            && entry.key().0 <= self.now
        {
            let (to, frame) = entry.remove();
            self.shard(to).device().incoming.0.push_back(frame);
        }
        self.settle();
    }

    /// Moves the clock to when the server wants to work next, if that is before `end`, and tells whether it is.
    pub(crate) fn skip_to_server(&mut self, end: Instant) -> bool {
        let next = self.server.deadline(self.now).filter(|next| *next < end);
        if let Some(next) = next {
            self.now = next.max(self.now + Duration::from_micros(1));
        }
        next.is_some()
    }

    /// Steps until `done`, for at most `limit` of the world's time.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.step(), "nothing will ever happen again");
            assert!(self.now < end, "it takes too long");
        }
    }

    /// Steps for `duration` of the world's time.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        while let Some(next) = self.next_event()
            && next < end
        {
            self.go_to(next);
        }
        self.go_to(end);
    }

    /// Opens a connection from the client to `port` of the server, where somebody listens, and accepts it.
    pub(crate) fn connect(&mut self, port: u16) -> (ConnectionId, ConnectionId) {
        self.connect_to(SERVER.into(), port)
    }

    /// The same to this address of the server.
    pub(crate) fn connect_to(&mut self, address: IpAddr, port: u16) -> (ConnectionId, ConnectionId) {
        let (listener, _) =
            self.server.stack().listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), 8).unwrap();
        let client = self.client.stack().connect(SocketAddr::new(address, port)).unwrap();
        let mut server = None;
        self.run_until(Duration::from_secs(30), |world| {
            server = server.or(world.server.stack().accept(listener).unwrap().map(|(id, _)| id));
            server.is_some()
        });
        self.server.stack().stop_listening(listener);
        (client, server.unwrap())
    }

    fn send(&mut self, from: Side, mut frame: Vec<u8>) {
        let to = if from == Side::Server { Side::Client } else { Side::Server };
        for delay in (self.fate)(&mut frame) {
            self.sequence += 1;
            self.under_way.insert((self.now + delay, self.sequence), (to, frame.clone()));
        }
    }
}

/// Reads one piece, as a program does.
pub(crate) fn receive<R>(
    stack: &mut Stack,
    id: ConnectionId,
    read: impl FnOnce(&mut [u8]) -> (usize, R),
) -> Result<Received<R>, Error> {
    let received = stack.use_connection(id, |connection| connection.receive(read).map(Some))?;
    Ok(received.expect("it is always something"))
}

/// Writes one piece, as a program does.
pub(crate) fn send<R>(
    stack: &mut Stack,
    id: ConnectionId,
    write: impl FnOnce(&mut [u8]) -> (usize, R),
) -> Result<Option<R>, Error> {
    stack.use_connection(id, |connection| connection.send(write))
}

/// Reads all that is there.
pub(crate) fn read(stack: &mut Stack, id: ConnectionId) -> Received<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let received = receive(stack, id, |piece| {
            bytes.extend_from_slice(piece);
            (piece.len(), ())
        });
        match received {
            Ok(Received::Bytes(())) => {}
            Ok(Received::End) if bytes.is_empty() => return Received::End,
            _ if bytes.is_empty() => return Received::Nothing,
            _ => return Received::Bytes(bytes),
        }
    }
}

/// Writes as much as fits and returns how much that is.
pub(crate) fn write(stack: &mut Stack, id: ConnectionId, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        let rest = &bytes[written..];
        let sent = send(stack, id, |space| {
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            (count, count)
        });
        match sent {
            Ok(Some(count)) => written += count,
            _ => break,
        }
    }
    written
}

pub(crate) fn settings(address: Ipv4Addr) -> Settings {
    Settings { address: Ipv4Cidr::new(address, 24), gateway: None, servers: Vec::new() }
}

pub(crate) fn settings_v6(address: Ipv6Addr) -> SettingsV6 {
    SettingsV6 { address: Ipv6Cidr::new(address, 64), gateway: None, servers: Vec::new() }
}

pub(crate) fn device(number: u8) -> Queues {
    device_with(number, Offloads::None)
}

pub(crate) fn device_with(number: u8, offloads: Offloads) -> Queues {
    Queues {
        address: [2, 0, 0, 0, 0, number],
        incoming: Incoming::default(),
        outgoing: Outgoing { frames: Vec::new(), room: 256, flushes: 0, offloads },
        offloads,
    }
}

/// A small generator of numbers that look random (Marsaglia, "Xorshift RNGs", 2003).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Seeds that are neighbours give rows that are not (Steele, Lea and Flood, 2014).
    pub(crate) fn new(seed: u64) -> Self {
        let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}

//! A peer that says what it is told to, true or not, and remembers what it has heard.

use super::segment::{ACK, FIN, RST, SYN, Segment, arp_reply};
use super::wire::{Queues, SERVER};
use crate::net::shard::{Polled, Shard};
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};
use smoltcp::time::Instant;

/// Where peers live; nobody else does.
pub(crate) const PEERS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// One end of a connection, played by hand.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) own: SocketAddrV4,
    pub(crate) other: SocketAddrV4,
    /// The next sequence number of its own.
    pub(crate) sequence: u32,
    /// The next sequence number that it expects.
    pub(crate) expected: u32,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
    /// The flags of all that it has heard.
    pub(crate) heard: Vec<u8>,
    /// How many bytes it has heard that it expected.
    pub(crate) received: usize,
}

impl Peer {
    /// A peer that uses `port` and talks to `remote_port` of the host under test.
    pub(crate) fn new(port: u16, remote_port: u16) -> Self {
        Self {
            own: SocketAddrV4::new(PEERS, port),
            other: SocketAddrV4::new(SERVER, remote_port),
            sequence: 1000 * u32::from(port),
            expected: 0,
            window: 8192,
            options: Vec::new(),
            heard: Vec::new(),
            received: 0,
        }
    }

    /// Makes a segment as it should be next.
    pub(crate) fn segment(&self, flags: u8, payload: &[u8]) -> Segment {
        Segment {
            from: self.own,
            to: self.other,
            sequence: self.sequence,
            acknowledged: self.expected,
            flags,
            window: self.window,
            options: self.options.clone(),
            payload: payload.to_vec(),
        }
    }

    /// Says what should come next.
    pub(crate) fn say(&mut self, shard: &mut Shard<Queues>, now: Instant, flags: u8, payload: &[u8]) {
        let segment = self.segment(flags, payload);
        self.sequence = self.sequence.wrapping_add(segment.span());
        self.tell(shard, now, &segment);
    }

    /// Says this, whatever should come next.
    pub(crate) fn tell(&mut self, shard: &mut Shard<Queues>, now: Instant, segment: &Segment) {
        for frame in exchange(shard, now, segment.frame()) {
            self.hear(&frame);
        }
    }

    /// Takes note of a frame, if it is for this peer.
    pub(crate) fn hear(&mut self, frame: &[u8]) {
        let Some(segment) = Segment::read(frame) else { return };
        if (segment.from, segment.to) != (self.other, self.own) {
            return;
        }
        self.heard.push(segment.flags);
        if segment.flags & SYN != 0 {
            self.expected = segment.sequence;
        }
        if segment.sequence == self.expected && segment.flags & RST == 0 {
            self.expected = self.expected.wrapping_add(segment.span());
            self.received += segment.payload.len();
        }
    }

    /// Opens a connection.
    pub(crate) fn open(&mut self, shard: &mut Shard<Queues>, now: Instant) {
        exchange(shard, now, arp_reply(*self.own.ip(), *self.other.ip()));
        self.say(shard, now, SYN, &[]);
        assert_eq!(self.heard.last(), Some(&(SYN | ACK)), "the host answers");
        self.say(shard, now, ACK, &[]);
    }

    /// Tells whether the connection was broken off.
    pub(crate) fn is_refused(&self) -> bool {
        self.heard.iter().any(|flags| flags & RST != 0)
    }

    /// Tells whether the other end has said its last.
    pub(crate) fn has_heard_end(&self) -> bool {
        self.heard.iter().any(|flags| flags & FIN != 0)
    }
}

/// Hands a frame to a host, and returns all that the host sends then.
pub(crate) fn exchange(shard: &mut Shard<Queues>, now: Instant, frame: Vec<u8>) -> Vec<Vec<u8>> {
    shard.device().incoming.0.push_back(frame);
    work(shard, now)
}

/// Lets a host work until it rests, and returns what it sends.
pub(crate) fn work(shard: &mut Shard<Queues>, now: Instant) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    for _ in 0..1000 {
        let polled = shard.poll(now);
        sent.append(&mut shard.device().outgoing.frames);
        if polled == Polled::Nothing && shard.deadline(now).is_none_or(|deadline| deadline > now) {
            return sent;
        }
    }
    let last = sent.last().map(|frame| (frame.clone(), Segment::read(frame)));
    panic!("it never comes to rest: {} frames, the last is {last:?}", sent.len());
}

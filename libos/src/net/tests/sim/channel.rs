//! One direction of the wire: how long a frame takes, and what happens to it on the way.

use crate::net::tests::wire::Random;
use alloc::vec::Vec;
use smoltcp::time::{Duration, Instant};

/// Bytes of an Ethernet header, and the place of the kind of frame in it.
const KIND: core::ops::Range<usize> = 12..14;
const ARP: [u8; 2] = [0x08, 0x06];
/// Longest run of bits that is flipped. A ones' complement sum finds every run that is shorter than 16 (RFC 1071).
const LONGEST_BURST: usize = 15;

/// So many times in 100 000.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chance(pub(super) u32);

/// What a channel does to frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) loss: Chance,
    pub(super) duplication: Chance,
    /// A frame is held back while others pass it.
    pub(super) reordering: Chance,
    /// Bits of a frame are flipped.
    pub(super) corruption: Chance,
    /// How long a frame is under way.
    pub(super) delay: Duration,
    /// How much longer it may take, at most. Frames stay in order.
    pub(super) jitter: Duration,
    /// Bits a second; `None`: as many as come.
    pub(super) bandwidth: Option<u64>,
    /// Bytes that wait for their turn, at most.
    pub(super) queue: u64,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    conditions: Conditions,
    random: Random,
    /// When the last frame has left the queue.
    is_free_at: Instant,
    /// When the last frame in order arrives.
    last_arrival: Instant,
}

impl Chance {
    pub(super) const NEVER: Self = Self(0);

    fn happens(self, random: &mut Random) -> bool {
        random.below(100_000) < self.0 as usize
    }
}

impl Conditions {
    /// A channel that only takes its time.
    pub(super) const fn good(delay: Duration) -> Self {
        Self {
            loss: Chance::NEVER,
            duplication: Chance::NEVER,
            reordering: Chance::NEVER,
            corruption: Chance::NEVER,
            delay,
            jitter: Duration::ZERO,
            bandwidth: None,
            queue: u64::MAX,
        }
    }
}

impl Channel {
    pub(super) fn new(conditions: Conditions, seed: u64) -> Self {
        let start = Instant::from_micros(0);
        Self { conditions, random: Random::new(seed), is_free_at: start, last_arrival: start }
    }

    /// Takes a frame and returns what arrives of it, and when.
    pub(super) fn carry(&mut self, now: Instant, mut frame: Vec<u8>) -> Vec<(Instant, Vec<u8>)> {
        let Some(left_at) = self.wait_turn(now, frame.len()) else { return Vec::new() };
        let Conditions { loss, duplication, reordering, corruption, delay, jitter, .. } = self.conditions;
        let random = &mut self.random;
        if loss.happens(random) || corruption.happens(random) && !is_still_a_frame(&mut frame, random) {
            return Vec::new();
        }
        let mut arrival = left_at + delay + up_to(jitter, random);
        if reordering.happens(random) {
            arrival = arrival.max(self.last_arrival) + up_to(delay + Duration::from_millis(2), random);
        } else {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        let mut arrivals = Vec::with_capacity(2);
        if duplication.happens(random) {
            arrivals.push((arrival + up_to(delay + Duration::from_millis(2), random), frame.clone()));
        }
        arrivals.push((arrival, frame));
        arrivals
    }

    /// Returns when a frame of `length` bytes has left, or `None` if the queue has no room for it.
    fn wait_turn(&mut self, now: Instant, length: usize) -> Option<Instant> {
        let Some(bandwidth) = self.conditions.bandwidth else { return Some(now) };
        let start = self.is_free_at.max(now);
        let waiting = (start - now).total_micros().saturating_mul(bandwidth) / 8_000_000;
        if waiting > self.conditions.queue {
            return None;
        }
        self.is_free_at = start + Duration::from_micros(length as u64 * 8_000_000 / bandwidth);
        Some(self.is_free_at)
    }
}

/// Flips bits that lie side by side; `false` if the frame is lost by it. ARP has no checksum of its own: what is wrong
/// with it, the wire's own check finds.
fn is_still_a_frame(frame: &mut [u8], random: &mut Random) -> bool {
    if frame.get(KIND) == Some(&ARP) {
        return false;
    }
    let length = 1 + if random.one_in(2) { 0 } else { random.below(LONGEST_BURST) };
    let first = random.below(frame.len() * 8);
    // The outer bits differ; those between them as it happens.
    for bit in first..(first + length).min(frame.len() * 8) {
        if bit == first || bit + 1 == first + length || random.one_in(2) {
            frame[bit / 8] ^= 0x80 >> (bit % 8);
        }
    }
    true
}

fn up_to(most: Duration, random: &mut Random) -> Duration {
    Duration::from_micros(random.next() % (most.total_micros() + 1))
}

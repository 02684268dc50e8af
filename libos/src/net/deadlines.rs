//! When connections want to be looked at.
//!
//! Each answer sets a deadline for its acknowledgement, which mostly comes long before. With thousands of connections
//! whose deadlines stand in one heap, that costs more than the segment. So only deadlines that are near are kept in
//! order. Those further away wait in a ring of lists, one for each stretch of time, and fire when their stretch begins:
//! early, and mostly for nobody any more, because the connection has gone on. One that still means something is added
//! anew, as one that is near.

use super::connection::ConnectionId;
use crate::timers::Timers;
use alloc::vec::Vec;
use core::mem;
use smoltcp::time::Instant;

/// A stretch is 2^16 µs long.
const STRETCH_BITS: u32 = 16;
/// Stretches of the ring. What is further away fires with the last one.
const SLOTS: usize = 64;
const STRETCHES: u64 = SLOTS as u64;
/// No entry.
const NONE: u32 = u32::MAX;

/// The deadlines, of which some mean nothing any more.
#[derive(Debug)]
pub(super) struct Deadlines {
    near: Timers<Instant, ConnectionId>,
    /// For each stretch the first entry of its list.
    ring: [u32; SLOTS],
    /// A bit for each stretch that has entries.
    occupied: u64,
    /// The first stretch that has not begun.
    next: u64,
    entries: Vec<Entry>,
    /// The first entry of a stretch that has begun.
    begun: u32,
    /// The first entry that is not in use.
    free: u32,
    far_count: usize,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    id: ConnectionId,
    next: u32,
}

impl Deadlines {
    pub(super) const fn new() -> Self {
        Self {
            near: Timers::new(),
            ring: [NONE; SLOTS],
            occupied: 0,
            next: 0,
            entries: Vec::new(),
            begun: NONE,
            free: NONE,
            far_count: 0,
        }
    }

    /// Adds a deadline. It may fire early.
    #[inline]
    pub(super) fn add(&mut self, at: Instant, id: ConnectionId) {
        let stretch = stretch_of(at);
        if stretch < self.next {
            return self.near.add(at, id);
        }
        self.put(stretch.min(self.next + STRETCHES - 1), at, id);
    }

    /// Takes one deadline that has come, or that is to be looked at because its stretch has begun; to be called until
    /// there is none.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Instant, ConnectionId)> {
        loop {
            if let Some(entry) = self.pop_begun() {
                return Some(entry);
            }
            if self.next > stretch_of(now) {
                return self.near.pop_due(now);
            }
            if self.occupied == 0 {
                self.next = stretch_of(now) + 1;
            } else {
                self.begin_next();
            }
        }
    }

    /// Returns when to ask for the next one; it may mean nothing any more.
    pub(super) fn next(&self) -> Option<Instant> {
        let near = self.near.next();
        if self.occupied == 0 {
            return near;
        }
        let distance = self.occupied.rotate_right((self.next % STRETCHES) as u32).trailing_zeros();
        let far = start_of(self.next + u64::from(distance));
        Some(near.map_or(far, |near| near.min(far)))
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn capacity(&self) -> usize {
        self.near.capacity() + self.entries.capacity()
    }

    pub(super) fn len(&self) -> usize {
        self.near.len() + self.far_count
    }

    /// Drops the deadlines that mean nothing any more.
    pub(super) fn retain(&mut self, is_alive: impl Fn(Instant, ConnectionId) -> bool) {
        self.near.retain(&is_alive);
        let first = self.next;
        for stretch in first..first + STRETCHES {
            self.begin_next();
            while let Some((at, id)) = self.pop_begun() {
                if is_alive(at, id) {
                    self.put(stretch, at, id);
                }
            }
        }
        self.next = first;
    }

    /// Moves the entries of the next stretch to those that are to be looked at.
    fn begin_next(&mut self) {
        let slot = slot_of(self.next);
        self.begun = mem::replace(&mut self.ring[slot], NONE);
        self.occupied &= !(1 << slot);
        self.next += 1;
    }

    fn pop_begun(&mut self) -> Option<(Instant, ConnectionId)> {
        let index = self.begun;
        let entry = self.entries.get_mut(index as usize)?;
        self.begun = mem::replace(&mut entry.next, self.free);
        self.free = index;
        self.far_count -= 1;
        Some((entry.at, entry.id))
    }

    fn put(&mut self, stretch: u64, at: Instant, id: ConnectionId) {
        let slot = slot_of(stretch);
        let entry = Entry { at, id, next: self.ring[slot] };
        if let Some(free) = self.entries.get_mut(self.free as usize) {
            self.ring[slot] = mem::replace(&mut self.free, free.next);
            *free = entry;
        } else {
            self.ring[slot] = u32::try_from(self.entries.len()).expect("memory ends before the numbers do");
            self.entries.push(entry);
        }
        self.occupied |= 1 << slot;
        self.far_count += 1;
    }
}

fn stretch_of(at: Instant) -> u64 {
    u64::try_from(at.total_micros()).unwrap_or(0) >> STRETCH_BITS
}

fn start_of(stretch: u64) -> Instant {
    Instant::from_micros(i64::try_from(stretch << STRETCH_BITS).unwrap_or(i64::MAX))
}

const fn slot_of(stretch: u64) -> usize {
    (stretch % STRETCHES) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> ConnectionId {
        ConnectionId::from_bits(number)
    }

    /// What fires at `now`, by number.
    fn fired(deadlines: &mut Deadlines, now: Instant) -> Vec<u64> {
        let mut fired: Vec<_> =
            core::iter::from_fn(|| deadlines.pop_due(now)).map(|(_, id)| id.to_bits()).collect();
        fired.sort_unstable();
        fired
    }

    #[test]
    fn nothing_fires_late_and_what_is_near_not_early() {
        let mut deadlines = Deadlines::new();
        let mut due = Vec::new();
        let mut state = 1_u64;
        for number in 0..5000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = Instant::from_micros(1 + i64::try_from(state >> [40, 44, 50][number % 3]).unwrap());
            deadlines.add(at, id(number as u64));
            due.push(at);
        }
        let mut now = Instant::ZERO;
        let mut left = due.len();
        loop {
            while let Some((at, id)) = deadlines.pop_due(now) {
                assert_eq!(due[usize::try_from(id.to_bits()).unwrap()], at);
                if at <= now {
                    left -= 1;
                } else {
                    deadlines.add(at, id);
                }
            }
            assert_eq!(deadlines.len(), left);
            let Some(next) = deadlines.next() else { break };
            assert!(next > now, "what has come has been taken");
            now = next;
        }
        assert_eq!(left, 0);
        assert_eq!(now, due.into_iter().max().unwrap(), "the last one has fired at its time");
    }

    #[test]
    fn after_a_long_time_all_fire() {
        let mut deadlines = Deadlines::new();
        for number in 0..100 {
            deadlines.add(Instant::from_millis(1 + 37 * i64::try_from(number).unwrap()), id(number));
        }
        assert_eq!(deadlines.next(), Some(Instant::ZERO));
        assert_eq!(fired(&mut deadlines, Instant::from_secs(4000)), (0..100).collect::<Vec<_>>());
        assert_eq!((deadlines.len(), deadlines.next()), (0, None));
        deadlines.add(Instant::from_micros(4_000_000_001_i64), id(7));
        assert_eq!(deadlines.next(), Some(Instant::from_micros(4_000_000_001_i64)));
    }

    #[test]
    fn only_those_that_mean_something_are_kept_and_room_is_used_again() {
        let mut deadlines = Deadlines::new();
        for round in 0..10 {
            for number in 0..1000 {
                deadlines.add(Instant::from_millis(i64::try_from(number).unwrap() * 8), id(number));
            }
            deadlines.retain(|_, id| id.to_bits() % 100 == round);
            assert_eq!(deadlines.len(), 10);
            deadlines.retain(|_, _| false);
        }
        assert!(deadlines.capacity() <= 4096, "{}", deadlines.capacity());
    }
}

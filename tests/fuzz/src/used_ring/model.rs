//! What a queue must do, written down a second time and as plainly as possible.
//!
//! It knows the chains in flight by the descriptors that the device was shown, and says before each operation what the
//! queue has to answer to the rings as they stand.

use crate::rings::Rings;
use services::io::virtqueue::{Completion, Notification, QueueError};
use std::collections::{BTreeMap, BTreeSet};

/// A chain that the device has.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) token: u16,
    pub(crate) writable: u32,
    pub(crate) descriptors: Vec<u16>,
}

/// The books of one queue.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) chains: BTreeMap<u16, Chain>,
    /// The descriptors of all chains.
    busy: BTreeSet<u16>,
    pub(crate) available: u16,
    published: u16,
    pub(crate) used_seen: u16,
    used_known: u16,
}

impl Model {
    /// Returns a token that no chain in flight has: a case is shorter than they take to come round.
    pub(crate) const fn new_token(&self) -> u16 {
        self.available
    }

    /// Takes a chain up, none of whose descriptors may be in flight already.
    pub(crate) fn add(&mut self, head: u16, chain: Chain) {
        for descriptor in &chain.descriptors {
            assert!(self.busy.insert(*descriptor), "no descriptor is handed out twice");
        }
        self.available = self.available.wrapping_add(1);
        self.chains.insert(head, chain);
    }

    /// Returns how many descriptors are in flight.
    pub(crate) fn descriptors(&self) -> usize {
        self.busy.len()
    }

    /// Tells whether chains were added that have not been published.
    pub(crate) const fn has_news(&self) -> bool {
        self.available != self.published
    }

    /// Publishes, and tells whether the doorbell is to be rung (virtio 1.2, 2.7.10.1 and 2.7.7).
    pub(crate) fn publish(&mut self, rings: &Rings, notification: Notification) -> bool {
        let new_entries = self.available.wrapping_sub(self.published);
        let old = core::mem::replace(&mut self.published, self.available);
        match notification {
            _ if new_entries == 0 => false,
            Notification::Flag => rings.used_flags() & 1 == 0,
            // The device wishes to hear of the entry after which it stands.
            Notification::EventIndex => rings.available_event().wrapping_sub(old) < new_entries,
        }
    }

    /// Looks for completions.
    pub(crate) fn look(&mut self, rings: &Rings) -> Result<bool, QueueError> {
        if self.used_seen == self.used_known {
            let index = rings.used_index();
            if usize::from(index.wrapping_sub(self.used_seen)) > self.chains.len() {
                return Err(QueueError::IndexJump);
            }
            self.used_known = index;
        }
        Ok(self.used_seen != self.used_known)
    }

    /// Takes the next completion.
    pub(crate) fn pop(&mut self, rings: &Rings) -> Result<Option<Completion>, QueueError> {
        if !self.look(rings)? {
            return Ok(None);
        }
        let (head, written) = rings.used_entry(self.used_seen);
        self.used_seen = self.used_seen.wrapping_add(1);
        let head = u16::try_from(head).map_err(|_| QueueError::NotInFlight)?;
        let Chain { token, writable, descriptors } =
            self.chains.remove(&head).ok_or(QueueError::NotInFlight)?;
        for descriptor in &descriptors {
            self.busy.remove(descriptor);
        }
        if written > writable {
            return Err(QueueError::LengthTooLong { token });
        }
        Ok(Some(Completion { token, written }))
    }
}

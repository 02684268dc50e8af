//! The poll sets and their watches.
//!
//! A watch is named by a number that dies with it, so a socket may tell of one that is gone. The tables are behind a
//! lock that is never held while a thread waits.

use super::{Event, Mode, Pollable, Readiness};
use crate::slots::{Id, Slots};
use crate::task::WaitQueue;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

/// Number of a set.
pub(super) type SetId = Id<Set>;
/// Number of a watch.
pub(crate) type WatchId = Id<Entry>;

static TABLES: Mutex<Tables> = Mutex::new(Tables { sets: Slots::new(), watches: Slots::new() });

struct Tables {
    sets: Slots<Set>,
    watches: Slots<Entry>,
}

/// A set: the watches where something may have happened, and the threads that wait.
pub(super) struct Set {
    ready: VecDeque<WatchId>,
    waiting: Arc<WaitQueue>,
    /// The last wait found events without waiting.
    was_busy: bool,
}

/// A watch in the table.
pub(crate) struct Entry {
    set: SetId,
    key: u64,
    source: Box<dyn Pollable>,
    interest: Readiness,
    mode: Mode,
    /// It stands in the ready list.
    is_listed: bool,
}

/// Makes an empty set.
pub(super) fn new_set() -> SetId {
    let set = Set { ready: VecDeque::new(), waiting: Arc::new(WaitQueue::new()), was_busy: false };
    TABLES.lock().sets.insert(set)
}

/// Forgets a set. Its watches tell nobody from now on.
pub(super) fn remove_set(id: SetId) {
    TABLES.lock().sets.remove(id);
}

/// Makes a watch that waits for nothing yet.
pub(super) fn new_watch(set: SetId, key: u64, source: Box<dyn Pollable>) -> WatchId {
    let interest = Readiness::empty();
    let entry = Entry { set, key, source, interest, mode: Mode::Level, is_listed: false };
    TABLES.lock().watches.insert(entry)
}

/// Sets what a watch waits for, and tells if it is so already.
pub(super) fn change(id: WatchId, interest: Readiness, mode: Mode) {
    let interest = interest | Readiness::BROKEN;
    let mut tables = TABLES.lock();
    let Some(watch) = tables.watches.get_mut(id) else { return };
    (watch.interest, watch.mode) = (interest, mode);
    watch.source.watch(interest, id);
    if watch.source.readiness().is_some_and(|ready| ready.intersects(interest)) {
        tables.list(id);
    }
}

/// Forgets a watch.
pub(super) fn remove_watch(id: WatchId) {
    let entry = TABLES.lock().watches.remove(id);
    if let Some(entry) = entry {
        entry.source.unwatch(id);
    }
}

/// Notes that something has changed that a watch waits for.
pub(crate) fn notify(id: WatchId) {
    TABLES.lock().list(id);
}

/// Returns the threads that wait for a set.
pub(super) fn waiting(id: SetId) -> Arc<WaitQueue> {
    let mut tables = TABLES.lock();
    let set = tables.sets.get_mut(id).expect("a set lives as long as its handle");
    set.was_busy = false;
    set.waiting.clone()
}

/// Tells whether a set has found events twice without waiting in between.
pub(super) fn is_always_busy(id: SetId) -> bool {
    let mut tables = TABLES.lock();
    let set = tables.sets.get_mut(id).expect("a set lives as long as its handle");
    set.was_busy = !set.was_busy;
    !set.was_busy
}

/// Appends up to `most` events, each watch's at most once.
pub(super) fn collect(id: SetId, events: &mut Vec<Event>, most: usize) {
    let mut tables = TABLES.lock();
    let Tables { sets, watches } = &mut *tables;
    let set = sets.get_mut(id).expect("a set lives as long as its handle");
    let enough = events.len().saturating_add(most);
    for _ in 0..set.ready.len() {
        if events.len() >= enough {
            return;
        }
        let Some(id) = set.ready.pop_front() else { return };
        let Some(watch) = watches.get_mut(id) else { continue };
        watch.is_listed = false;
        let ready = watch.source.readiness().unwrap_or(Readiness::empty()) & watch.interest;
        if ready.is_empty() {
            continue;
        }
        events.push(Event { key: watch.key, ready });
        match watch.mode {
            Mode::Level => {
                watch.is_listed = true;
                set.ready.push_back(id);
            }
            Mode::Edge => {}
            Mode::Once => watch.interest = Readiness::empty(),
        }
    }
}

impl Tables {
    /// Puts a watch onto its set's ready list and wakes one thread that waits for it.
    fn list(&mut self, id: WatchId) {
        let Some(watch) = self.watches.get_mut(id) else { return };
        if watch.is_listed || watch.interest.is_empty() {
            return;
        }
        let Some(set) = self.sets.get_mut(watch.set) else { return };
        watch.is_listed = true;
        set.ready.push_back(id);
        set.waiting.wake_one();
    }
}

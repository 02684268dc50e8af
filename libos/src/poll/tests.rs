//! Poll sets over things that the tests make ready.

use super::{Event, Mode, Poll, Pollable, Readiness, Source, Target, WatchId};
use crate::readiness::Waiters;
use crate::task::tests::as_guest;
use crate::thread;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use spin::Mutex;

/// Something that is ready for what the test says.
#[derive(Clone)]
struct Thing(Arc<Mutex<State>>);

struct State {
    ready: Readiness,
    waiters: Waiters,
}

impl Thing {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State { ready: Readiness::empty(), waiters: Waiters::new() })))
    }

    /// Changes what it is ready for and tells those who wait.
    fn set(&self, ready: Readiness) {
        let mut woken = Vec::new();
        let mut state = self.0.lock();
        state.ready = ready;
        state.waiters.wake(ready, &mut woken);
        drop(state);
        woken.into_iter().for_each(|token| token.wake());
    }
}

impl Source for Thing {
    fn target(&self) -> Target {
        Target(Box::new(self.clone()))
    }
}

impl Pollable for Thing {
    fn readiness(&self) -> Option<Readiness> {
        Some(self.0.lock().ready)
    }

    fn watch(&self, interest: Readiness, id: WatchId) {
        self.0.lock().waiters.watch(interest, id);
    }

    fn unwatch(&self, id: WatchId) {
        self.0.lock().waiters.unwatch(id);
    }
}

/// Returns the events of now.
fn now(poll: &Poll) -> Vec<Event> {
    let mut events = Vec::new();
    poll.wait(&mut events, 16, Some(Duration::ZERO));
    events
}

fn readable(key: u64) -> Event {
    Event { key, ready: Readiness::READABLE }
}

#[test]
fn a_level_is_told_as_long_as_it_holds() {
    as_guest(|| {
        let (poll, thing) = (Poll::new(), Thing::new());
        let _watch = poll.watch(&thing, 5, Readiness::READABLE, Mode::Level);
        assert_eq!(now(&poll), []);
        thing.set(Readiness::READABLE | Readiness::WRITABLE);
        assert_eq!(now(&poll), [readable(5)]);
        assert_eq!(now(&poll), [readable(5)]);
        thing.set(Readiness::WRITABLE);
        assert_eq!(now(&poll), []);
    });
}

#[test]
fn an_edge_is_told_once_for_each_change() {
    as_guest(|| {
        let (poll, thing) = (Poll::new(), Thing::new());
        thing.set(Readiness::READABLE);
        let _watch = poll.watch(&thing, 5, Readiness::READABLE, Mode::Edge);
        assert_eq!(now(&poll), [readable(5)]);
        assert_eq!(now(&poll), []);
        thing.set(Readiness::READABLE);
        thing.set(Readiness::READABLE);
        assert_eq!(now(&poll), [readable(5)]);
        assert_eq!(now(&poll), []);
    });
}

#[test]
fn one_shot_is_silent_until_it_is_changed() {
    as_guest(|| {
        let (poll, thing) = (Poll::new(), Thing::new());
        let watch = poll.watch(&thing, 5, Readiness::READABLE, Mode::Once);
        thing.set(Readiness::READABLE);
        assert_eq!(now(&poll), [readable(5)]);
        thing.set(Readiness::READABLE | Readiness::BROKEN);
        assert_eq!(now(&poll), []);
        watch.change(Readiness::WRITABLE, Mode::Level);
        assert_eq!(now(&poll), [Event { key: 5, ready: Readiness::BROKEN }]);
    });
}

#[test]
fn who_waits_is_woken_by_another_thread_and_only_the_ready_are_named() {
    as_guest(|| {
        let (poll, things) = (Poll::new(), [Thing::new(), Thing::new(), Thing::new()]);
        let _watches: Vec<_> = (0..)
            .zip(&things)
            .map(|(key, thing)| poll.watch(thing, key, Readiness::READABLE, Mode::Level))
            .collect();
        let last = things[2].clone();
        let other = thread::spawn(move || last.set(Readiness::READABLE));
        let mut events = Vec::new();
        poll.wait(&mut events, 16, None);
        assert_eq!(events, [readable(2)]);
        other.join().unwrap();
    });
}

#[test]
fn each_gets_its_turn_when_more_are_ready_than_fit() {
    as_guest(|| {
        let (poll, things) = (Poll::new(), [Thing::new(), Thing::new(), Thing::new()]);
        let _watches: Vec<_> = (0..)
            .zip(&things)
            .map(|(key, thing)| {
                thing.set(Readiness::READABLE);
                poll.watch(thing, key, Readiness::READABLE, Mode::Level)
            })
            .collect();
        let mut keys = Vec::new();
        for _ in 0..3 {
            let mut events = Vec::new();
            poll.wait(&mut events, 2, Some(Duration::ZERO));
            keys.extend(events.iter().map(|event| event.key));
        }
        assert_eq!(keys, [0, 1, 2, 0, 1, 2]);
    });
}

#[test]
fn a_set_that_is_always_ready_lets_other_threads_run() {
    as_guest(|| {
        let (poll, thing) = (Poll::new(), Thing::new());
        thing.set(Readiness::READABLE);
        let _watch = poll.watch(&thing, 5, Readiness::READABLE, Mode::Level);
        let has_run = Arc::new(Mutex::new(false));
        let flag = has_run.clone();
        let other = thread::spawn(move || *flag.lock() = true);
        for _ in 0..8 {
            assert_eq!(now(&poll), [readable(5)]);
        }
        assert!(*has_run.lock());
        other.join().unwrap();
    });
}

#[test]
fn there_may_be_events_already_and_no_limit_to_more() {
    as_guest(|| {
        let (poll, thing) = (Poll::new(), Thing::new());
        thing.set(Readiness::READABLE);
        let _watch = poll.watch(&thing, 5, Readiness::READABLE, Mode::Edge);
        let mut events = Vec::from([readable(4)]);
        poll.wait(&mut events, usize::MAX, Some(Duration::ZERO));
        assert_eq!(events, [readable(4), readable(5)]);
    });
}

#[test]
fn a_watch_that_was_dropped_tells_nothing_and_leaves_nothing() {
    as_guest(|| {
        let (poll, thing) = (Poll::new(), Thing::new());
        let watch = poll.watch(&thing, 5, Readiness::READABLE, Mode::Level);
        thing.set(Readiness::READABLE);
        drop(watch);
        assert_eq!(now(&poll), []);
        assert!(thing.0.lock().waiters.is_empty());
        let survivor = poll.watch(&thing, 6, Readiness::READABLE, Mode::Level);
        drop(poll);
        thing.set(Readiness::READABLE);
        drop(survivor);
    });
}

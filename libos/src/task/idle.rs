//! What is done while nobody can run: devices, timers, and sleep.
//!
//! No wake-up is lost: the event total is read first, then all work is looked for, then the machine waits only if
//! the total is still the same.

use super::scheduler::{ThreadId, fire_sleepers, is_somebody_ready, wake};
use crate::process;
use alloc::vec::Vec;
use services::{clock, machine};
use spin::{Mutex, Once};

/// Work that goes on while threads wait: the network.
pub(crate) trait Poller: Sync {
    /// Does what can be done now, and wakes whom it concerns.
    fn poll(&self);

    /// Returns when it wants to be polled if nothing happens before, in ns since boot.
    fn deadline_ns(&self) -> u64;

    /// Asks for an event when there is work, and tells whether there is some already.
    fn begin_wait(&self) -> Work;

    /// Asks for no more events.
    fn end_wait(&self);
}

/// Whether there is something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// There is.
    Waiting,
    /// There is not.
    None,
}

/// A thread that waits for an event of the machine.
#[derive(Clone, Copy)]
struct Listener {
    event: usize,
    seen: u64,
    thread: ThreadId,
}

static POLLER: Once<&'static dyn Poller> = Once::new();
static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

/// Adds the network to the idle work. To be called once.
pub(crate) fn install_poller(poller: &'static dyn Poller) {
    POLLER.call_once(|| poller);
}

/// Has `thread` woken when the count of `event` is not `seen` any more.
pub(crate) fn wake_at_event(event: usize, seen: u64, thread: ThreadId) {
    let mut listeners = LISTENERS.lock();
    // Who was woken by its time and waits again still stands there.
    listeners.retain(|listener| listener.event != event || listener.thread != thread);
    listeners.push(Listener { event, seen, thread });
}

/// Does the idle work once, without waiting.
pub(crate) fn poll() {
    do_idle_work();
}

/// Does the idle work and waits until there is more, or somebody can run.
pub(crate) fn wait() {
    let events_seen = machine::info().events_seen();
    process::heed_stop();
    let next_sleeper = do_idle_work();
    if is_somebody_ready() {
        return;
    }
    let Some(poller) = POLLER.get() else {
        return machine::current().wait(next_sleeper, events_seen);
    };
    let deadline_ns = next_sleeper.min(poller.deadline_ns());
    if deadline_ns > clock::now_ns() && poller.begin_wait() == Work::None {
        machine::current().wait(deadline_ns, events_seen);
    }
    poller.end_wait();
}

/// Does it, and returns when the next sleeper's time comes.
fn do_idle_work() -> u64 {
    if let Some(poller) = POLLER.get() {
        poller.poll();
    }
    wake_listeners();
    fire_sleepers(clock::now_ns())
}

fn wake_listeners() {
    let mut listeners = LISTENERS.lock();
    if listeners.is_empty() {
        return;
    }
    let info = machine::info();
    listeners.retain(|listener| {
        let is_quiet = info.event(listener.event) == listener.seen;
        if !is_quiet {
            wake(listener.thread);
        }
        is_quiet
    });
}

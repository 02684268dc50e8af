//! Sleeping: one call of the host for timers, packets, input and signals.

use crate::linux::{self, READABLE, TimeSpec, WRITABLE, Watch};
use crate::{clock, console, device, pages, report};
use abi::hosted::descriptor;
use abi::info::{EVENT_CONSOLE, EVENT_STOP};

const NS_PER_S: u64 = 1_000_000_000;

/// Sleeps until the clock reaches `deadline_ns` or an event beyond `events_seen` happens.
pub(crate) fn wait(deadline_ns: u64, events_seen: u64) {
    while pages::info().events_seen() == events_seen {
        let now = clock::now_ns();
        if now >= deadline_ns {
            return;
        }
        if device::is_lockstep() {
            device::step(deadline_ns);
        } else if clock::is_simulated() && deadline_ns != u64::MAX {
            // Nothing happens before: what comes from outside does not repeat.
            clock::move_to(deadline_ns);
        } else {
            look(timeout(deadline_ns, now));
            clock::correct();
        }
    }
}

fn timeout(deadline_ns: u64, now: u64) -> Option<TimeSpec> {
    (deadline_ns != u64::MAX).then(|| {
        let left = deadline_ns - now;
        TimeSpec { seconds: (left / NS_PER_S) as i64, nanoseconds: (left % NS_PER_S) as i64 }
    })
}

/// Waits for something to happen, and counts it.
fn look(timeout: Option<TimeSpec>) {
    let watch = |descriptor: i32, wanted: i16| Watch {
        // One below zero is passed over (poll(2)).
        descriptor: if wanted == 0 { -1 } else { descriptor },
        wanted,
        happened: 0,
    };
    let wanted_if = |condition: bool| if condition { READABLE } else { 0 };
    let mut watches = [
        watch(descriptor::WAKE, READABLE),
        watch(descriptor::NETWORK, device::wanted()),
        watch(descriptor::INPUT, wanted_if(console::is_awaited())),
        watch(descriptor::CONTROL, wanted_if(report::is_watched())),
    ];
    if linux::poll(&mut watches, timeout).unwrap_or(0) == 0 {
        return;
    }
    let [wake, network, input, control] = watches.map(|watch| watch.happened);
    if wake != 0 {
        drain_wake();
    }
    if network != 0 {
        device::serve(network & !WRITABLE != 0);
    }
    if input != 0 {
        console::note_told();
        pages::count_event(EVENT_CONSOLE);
    }
    if control != 0 && report::take_request() {
        pages::count_event(EVENT_STOP);
    }
}

/// Takes what signal handlers have counted, so that the next wait waits.
fn drain_wake() {
    let mut count = [0; 8];
    let _: Result<usize, linux::Errno> = linux::read(descriptor::WAKE, &mut count);
}

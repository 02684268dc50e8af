//! The guest as a process: how it ends, and what happens when it is asked to. Shaped like `std::process`.

use crate::io::Result;
use crate::{task, thread};
use abi::control::STATUS_STOPPED;
use abi::info::EVENT_STOP;
use core::sync::atomic::{AtomicBool, Ordering};
use services::machine;

pub use services::exit::{ExitCode, Termination};

/// Bytes of stack of the thread that waits for a request to stop.
const STOP_STACK_BYTES: usize = 32 << 10;

/// Whether the program answers a request to stop by itself.
static HANDLES_STOP: AtomicBool = AtomicBool::new(false);

/// Ends the guest with a status, of which the low 8 bits reach the one who started it. Destructors do not run; what
/// was written to sockets is still sent, for up to a second.
pub fn exit(status: i32) -> ! {
    let [low, ..] = status.to_le_bytes();
    services::exit::exit(ExitCode::from(low))
}

/// Tells whether the user has asked the guest to stop (the first Ctrl-C).
///
/// A program that calls this, [`wait_for_stop`] or [`on_stop`] answers such requests by itself. Another one is ended,
/// with the status that a shell shows for an interrupted program, when it next waits for something.
#[must_use]
pub fn stop_requested() -> bool {
    HANDLES_STOP.store(true, Ordering::Relaxed);
    is_stop_requested()
}

/// Has `act` run in a thread of its own when the user asks the guest to stop.
///
/// # Errors
///
/// There is no memory for the thread.
pub fn on_stop(act: impl FnOnce() + Send + 'static) -> Result<()> {
    HANDLES_STOP.store(true, Ordering::Relaxed);
    let thread = thread::Builder::new().name("stop".into()).stack_size(STOP_STACK_BYTES);
    thread.spawn(|| {
        wait_for_stop();
        act();
    })?;
    Ok(())
}

/// Waits until the user asks the guest to stop.
pub fn wait_for_stop() {
    while !stop_requested() {
        task::wake_at_event(EVENT_STOP, 0, task::current());
        task::block_until(task::NEVER);
    }
}

/// Ends the guest if it was asked to stop and does not answer by itself. Called where threads wait.
pub(crate) fn heed_stop() {
    if is_stop_requested() && !HANDLES_STOP.load(Ordering::Relaxed) {
        services::exit::exit(ExitCode::from(STATUS_STOPPED));
    }
}

fn is_stop_requested() -> bool {
    machine::info().event(EVENT_STOP) != 0
}

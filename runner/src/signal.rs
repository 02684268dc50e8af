//! Ctrl-C: the first asks the guest to stop, the second ends the machine.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::machine::Handle;

/// Line that tells the user what the first signal did.
const HINT: &str = "metaos: asked the guest to stop; press Ctrl-C again to end it at once";

/// A second signal within this time is the first one again: `timeout(1)` and others signal a process and its group.
const ECHO: Duration = Duration::from_millis(50);

/// Steers `machine` by the signals of this process from now on.
///
/// # Errors
///
/// The host refuses to register the signals.
pub fn steer(machine: Handle) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        let mut asked_at = None;
        for signal in signals.forever() {
            match asked_at {
                // After a hang-up there is no terminal for a second Ctrl-C to come from.
                _ if signal == SIGHUP => machine.kill(),
                None => {
                    asked_at = Some(Instant::now());
                    eprintln!("{HINT}");
                    machine.request_stop();
                }
                Some(time) if time.elapsed() < ECHO => {}
                Some(_) => machine.kill(),
            }
        }
    });
    Ok(())
}

//! The machine below, installed once by the start routine.
//!
//! A `dyn` reference rather than a type parameter: the same services run on the nucleus, as a Linux process and in
//! tests, and no Machine call is on the packet path. The information page is kept beside it because the clock and
//! the event counters *are* on the packet path.

use abi::{InfoPage, Machine};
use spin::Once;

struct Installed {
    machine: &'static dyn Machine,
    info: &'static InfoPage,
}

static INSTALLED: Once<Installed> = Once::new();

/// Installs the machine. The first call counts; later ones are ignored.
pub fn install(machine: &'static dyn Machine) {
    INSTALLED.call_once(|| Installed { machine, info: machine.info() });
}

/// Returns the machine.
///
/// # Panics
///
/// If [`install`] has not run, which would be a defect of the start routine.
#[must_use]
pub fn current() -> &'static dyn Machine {
    installed().machine
}

/// Returns the machine if it is installed: for the crash path, which may run before.
#[must_use]
pub fn try_current() -> Option<&'static dyn Machine> {
    INSTALLED.get().map(|installed| installed.machine)
}

/// Returns the information page: clock parameters and event counters. Neither calls the machine nor allocates.
///
/// # Panics
///
/// As [`current`].
#[must_use]
pub fn info() -> &'static InfoPage {
    installed().info
}

fn installed() -> &'static Installed {
    INSTALLED.get().expect("the start routine installs the machine before anything else runs")
}

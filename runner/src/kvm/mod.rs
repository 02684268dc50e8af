//! Whether KVM can be used here. Probed, never assumed.
//!
//! There are `/dev/kvm`s that nobody may open, and software ones that take a virtual machine but die at the first
//! SSE instruction in ring 0, which ordinary compiled code contains. So a small machine is made, a few such
//! instructions are run, and the result is looked at, within a time limit.

mod guest;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

/// How long the probe may take; a real KVM needs a millisecond or two.
const LIMIT: Duration = Duration::from_secs(1);
/// How often, and how long apart, a probe that hangs is interrupted.
const INTERRUPTS: u32 = 100;
const INTERRUPT_DISTANCE: Duration = Duration::from_millis(10);

/// Why KVM cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KvmRefusal {
    /// No device.
    #[error(
        "there is no /dev/kvm (enable virtualisation in the firmware, load the module kvm_intel or kvm_amd)"
    )]
    Missing,
    /// The device may not be opened.
    #[error("/dev/kvm may not be opened (add yourself to the group kvm, then log in again)")]
    Denied,
    /// An operation failed.
    #[error("/dev/kvm cannot {operation}: {cause}")]
    Failed {
        /// What was asked.
        operation: &'static str,
        /// What it answered.
        cause: String,
    },
    /// The probe's instructions did not run as they should.
    #[error("/dev/kvm does not run compiled code in ring 0 ({0})")]
    Unfit(String),
    /// The probe did not come to an end.
    #[error("/dev/kvm did not run a dozen instructions within {} s", LIMIT.as_secs())]
    TooSlow,
}

/// Runs a few instructions on KVM.
///
/// # Errors
///
/// KVM cannot be used, and why.
pub fn probe() -> Result<(), KvmRefusal> {
    // The handler does nothing: it is there so that the signal interrupts a running virtual CPU instead of us.
    let signal = SIGRTMIN();
    register_signal_handler(signal, ignore)
        .map_err(|cause| KvmRefusal::Failed { operation: "be timed", cause: cause.to_string() })?;
    let (sender, result) = channel();
    let prober = thread::spawn(move || {
        // Nobody listens any more after the time limit.
        drop(sender.send(guest::run()));
    });
    match result.recv_timeout(LIMIT) {
        Ok(result) => {
            interrupt(&prober, signal);
            result
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            interrupt(&prober, signal);
            Err(KvmRefusal::TooSlow)
        }
    }
}

extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

/// Interrupts the prober until it ends. A single signal could come just before the CPU is entered and be lost.
fn interrupt(prober: &JoinHandle<()>, signal: i32) {
    for _ in 0..INTERRUPTS {
        if prober.is_finished() {
            return;
        }
        // It fails only for a thread that has just ended.
        let _ = prober.kill(signal);
        thread::sleep(INTERRUPT_DISTANCE);
    }
}

fn refusal_to_open(errno: i32) -> KvmRefusal {
    match Errno::from_raw_os_error(errno) {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => KvmRefusal::Missing,
        Errno::ACCESS | Errno::PERM => KvmRefusal::Denied,
        other => KvmRefusal::Failed { operation: "be opened", cause: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_probe_ends_in_time_whatever_it_finds() {
        let start = Instant::now();
        let result = probe();
        assert!(start.elapsed() < LIMIT * 3);
        if let Err(refusal) = result {
            assert!(!refusal.to_string().contains('\n'));
        }
    }

    #[test]
    fn what_the_user_lacks_is_named() {
        assert_eq!(refusal_to_open(2), KvmRefusal::Missing);
        assert_eq!(refusal_to_open(13), KvmRefusal::Denied);
        assert!(matches!(refusal_to_open(12), KvmRefusal::Failed { operation: "be opened", .. }));
    }
}

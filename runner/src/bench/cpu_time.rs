//! The CPU time of a QEMU process, by the kind of its threads.
//!
//! Linux tells a thread's time on a CPU in nanoseconds (`/proc/PID/task/TID/schedstat`, first field). QEMU names its
//! CPU threads `CPU 0/TCG` if it is asked to name threads.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// QEMU's arguments that make it name its threads.
pub(super) const NAMED_THREADS: [&str; 2] = ["-name", "metaos,debug-threads=on"];

/// CPU time of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct CpuTime {
    /// Of the threads that run the guest.
    pub(super) vcpu: Duration,
    /// Of all others: devices, network.
    pub(super) io: Duration,
}

impl CpuTime {
    /// Reads the time that `process` has had so far.
    pub(super) fn of(process: u32) -> io::Result<Self> {
        let mut time = Self::default();
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread that ended between the two reads has none to tell.
            let Some((name, spent)) = read_task(&task?.path()) else { continue };
            match name.starts_with("CPU ") {
                true => time.vcpu += spent,
                false => time.io += spent,
            }
        }
        Ok(time)
    }

    /// Returns the time since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self { vcpu: self.vcpu.saturating_sub(earlier.vcpu), io: self.io.saturating_sub(earlier.io) }
    }
}

fn read_task(path: &Path) -> Option<(String, Duration)> {
    let name = fs::read_to_string(path.join("comm")).ok()?;
    let statistics = fs::read_to_string(path.join("schedstat")).ok()?;
    let nanoseconds = statistics.split_whitespace().next()?.parse().ok()?;
    Some((name, Duration::from_nanos(nanoseconds)))
}

/// Returns the resident memory of `process` in bytes (`/proc/PID/status`, `VmRSS`).
pub(super) fn resident_bytes(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map(|number| number * 1024).ok_or_else(|| io::Error::other("the host tells no resident memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_time_and_memory() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while CpuTime::of(std::process::id()).unwrap().since(before).io < Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(before.vcpu, Duration::ZERO);
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
    }
}

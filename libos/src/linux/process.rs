//! The program as a process: its numbers, its limits, its end, and what machine it is told to be on.

use super::errno::{Errno, Outcome};
use super::{gate, ledger, memory, user};
use crate::process::exit;
use crate::{system, task};
use alloc::vec::Vec;
use services::clock;
use spin::Mutex;

/// The process and its thread.
pub(super) const PROCESS: u64 = 2;
const NS_PER_S: u64 = 1_000_000_000;
const INFINITE: u64 = u64::MAX;

static NAME: Mutex<Vec<u8>> = Mutex::new(Vec::new());

pub(super) fn begin(name: &[u8]) {
    *NAME.lock() = name.to_vec();
}

/// `exit_group`.
pub(super) fn end(status: u64) -> ! {
    ledger::print();
    exit(i32::from(status as u8))
}

/// `arch_prctl`.
pub(super) fn set_thread_pointer(operation: u64, address: u64) -> Outcome {
    const SET_FS: u64 = 0x1002;

    if operation != SET_FS {
        return Err(Errno::Invalid);
    }
    gate::set_thread_pointer(address).map(|()| 0).map_err(|_| Errno::NotPermitted)
}

/// `uname`: six names of 65 bytes.
pub(super) fn names(start: u64) -> Outcome {
    const LENGTH: usize = 65;
    // Programs look whether the release is new enough.
    let names: [&[u8]; 6] = [b"Linux", b"metaos", b"6.1.0-metaos", b"#1 metaos", b"x86_64", b"(none)"];

    let mut bytes = [0; 6 * LENGTH];
    for (place, name) in bytes.chunks_mut(LENGTH).zip(names) {
        place[..name.len()].copy_from_slice(name);
    }
    user::write(start, &bytes)?;
    Ok(0)
}

/// `prlimit64`: limits are told and not changed.
pub(super) fn limits(process: u64, resource: u64, new: u64, old: u64) -> Outcome {
    const COUNT: u64 = 16;

    if process != 0 && process != PROCESS {
        return Err(Errno::NoProcess);
    }
    if resource >= COUNT {
        return Err(Errno::Invalid);
    }
    if new != 0 {
        user::read_words::<2>(new)?;
    }
    if old != 0 {
        user::write_words(old, &limit(resource))?;
    }
    Ok(0)
}

/// `getrlimit`.
pub(super) fn limit_of(resource: u64, start: u64) -> Outcome {
    limits(0, resource, 0, start)
}

/// `sysinfo`.
pub(super) fn system_information(start: u64) -> Outcome {
    // `struct sysinfo`: uptime, three loads, memory, free, shared, buffers, swap, free swap, processes, high memory,
    // free, unit.
    let mut words = [0; 14];
    words[0] = clock::now_ns() / NS_PER_S;
    words[4] = system::memory_bytes();
    words[5] = system::memory_bytes();
    words[10] = 1;
    words[13] = 1;
    user::write_words(start, &words)?;
    Ok(0)
}

/// `readlink` and `readlinkat`: the program's own file is the only link there is.
pub(super) fn read_link(path: u64, start: u64, length: u64) -> Outcome {
    if user::read_path(path)? != b"/proc/self/exe" {
        return Err(Errno::NoEntry);
    }
    let name = NAME.lock();
    let own = if name.starts_with(b"/") { name.clone() } else { [b"/", name.as_slice()].concat() };
    let count = own.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    if count == 0 {
        return Err(Errno::Invalid);
    }
    user::write(start, &own[..count])?;
    Ok(count as u64)
}

/// `sched_getaffinity`: one processor.
pub(super) fn affinity(length: u64, start: u64) -> Outcome {
    const MASK: [u64; 1] = [1];

    if length < 8 || !length.is_multiple_of(8) {
        return Err(Errno::Invalid);
    }
    user::write_words(start, &MASK)?;
    Ok(8)
}

/// `sched_yield`.
#[expect(clippy::unnecessary_wraps, reason = "calls return an outcome")]
pub(super) fn yield_now() -> Outcome {
    task::yield_now();
    Ok(0)
}

fn limit(resource: u64) -> [u64; 2] {
    const STACK: u64 = 3;
    const CORE: u64 = 4;
    const OPEN_FILES: u64 = 7;

    match resource {
        STACK => [memory::STACK_BYTES, INFINITE],
        CORE => [0, INFINITE],
        OPEN_FILES => [1024, 1 << 20],
        _ => [INFINITE, INFINITE],
    }
}

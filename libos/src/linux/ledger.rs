//! The ledger of calls that were refused because they are not supported: which, how often, from where first.
//!
//! It is printed at the program's end, if the variable `METAOS_LEDGER` asks for it.

use crate::eprintln;
use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use spin::Mutex;

/// Most different calls: the numbers are the program's.
const MOST: usize = 1024;

static IS_WANTED: AtomicBool = AtomicBool::new(false);
static CALLS: Mutex<BTreeMap<u64, Refused>> = Mutex::new(BTreeMap::new());

struct Refused {
    times: u64,
    first_at: u64,
}

pub(super) fn begin(is_wanted: bool) {
    IS_WANTED.store(is_wanted, Relaxed);
}

/// Notes a call that was refused. `at`: where the program goes on.
pub(super) fn note(number: u64, at: u64) {
    let mut calls = CALLS.lock();
    if calls.len() < MOST || calls.contains_key(&number) {
        calls.entry(number).or_insert(Refused { times: 0, first_at: at }).times += 1;
    }
}

/// Prints what was refused, if that is wanted.
pub(super) fn print() {
    if !IS_WANTED.load(Relaxed) {
        return;
    }
    let calls = CALLS.lock();
    eprintln!("metaos: system calls that are not supported: {}", calls.len());
    for (number, Refused { times, first_at }) in calls.iter() {
        eprintln!("metaos:   call {number}: {times} times, first before {first_at:#x}");
    }
}

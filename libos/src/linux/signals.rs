//! Signals, as far as a program's start and its `abort` need them: actions are kept and told, not carried out. A signal
//! that the program sends itself and has no handler for ends it, as on Linux.

use super::errno::{Errno, Outcome};
use super::{ledger, process, user};
use crate::eprintln;
use spin::Mutex;

const COUNT: usize = 64;
/// `SIGKILL` and `SIGSTOP`, which nobody handles.
const UNTOUCHABLE: [u64; 2] = [9, 19];
/// `SIGCHLD`, `SIGCONT`, `SIGURG`, `SIGWINCH`, which are ignored unless somebody asks.
const HARMLESS: [u64; 4] = [17, 18, 23, 28];
const SET_BYTES: u64 = 8;
/// `SIG_IGN`.
const IGNORE: u64 = 1;
/// `SS_DISABLE`.
const NO_STACK: u64 = 2;

/// The kernel's `struct sigaction`: handler, flags, restorer, mask.
type Action = [u64; 4];

static ACTIONS: Mutex<[Action; COUNT]> = Mutex::new([[0; 4]; COUNT]);
static MASK: Mutex<u64> = Mutex::new(0);
static STACK: Mutex<[u64; 3]> = Mutex::new([0, NO_STACK, 0]);

/// `rt_sigaction`.
pub(super) fn action(signal: u64, new: u64, old: u64, size: u64) -> Outcome {
    let index = signal.checked_sub(1).filter(|index| *index < COUNT as u64 && size == SET_BYTES);
    let index = index.ok_or(Errno::Invalid)? as usize;
    let action = if new == 0 { None } else { Some(user::read_words::<4>(new)?) };
    if action.is_some() && UNTOUCHABLE.contains(&signal) {
        return Err(Errno::Invalid);
    }
    let mut actions = ACTIONS.lock();
    if old != 0 {
        user::write_words(old, &actions[index])?;
    }
    if let Some(action) = action {
        actions[index] = action;
    }
    Ok(0)
}

/// `rt_sigprocmask`.
pub(super) fn mask(how: u64, new: u64, old: u64, size: u64) -> Outcome {
    if size != SET_BYTES {
        return Err(Errno::Invalid);
    }
    let set = if new == 0 { None } else { Some(user::read_words::<1>(new)?[0]) };
    let mut mask = MASK.lock();
    let changed = match (how, set) {
        (_, None) => *mask,
        (0, Some(set)) => *mask | set,
        (1, Some(set)) => *mask & !set,
        (2, Some(set)) => set,
        _ => return Err(Errno::Invalid),
    };
    if old != 0 {
        user::write_words(old, &[*mask])?;
    }
    *mask = changed;
    Ok(0)
}

/// `sigaltstack`: start, flags, bytes.
pub(super) fn stack(new: u64, old: u64) -> Outcome {
    let set = if new == 0 { None } else { Some(user::read_words::<3>(new)?) };
    let mut stack = STACK.lock();
    if old != 0 {
        user::write_words(old, &*stack)?;
    }
    if let Some(set) = set {
        *stack = set;
    }
    Ok(0)
}

/// `kill`, `tkill`, `tgkill`: of the program itself.
pub(super) fn send(target: u64, signal: u64, number: u64, at: u64) -> Outcome {
    if target != process::PROCESS && target != 0 {
        return Err(Errno::NoProcess);
    }
    if signal > COUNT as u64 {
        return Err(Errno::Invalid);
    }
    let Some(index) = signal.checked_sub(1) else { return Ok(0) };
    let [handler, ..] = ACTIONS.lock()[index as usize];
    match handler {
        IGNORE => Ok(0),
        0 if HARMLESS.contains(&signal) => Ok(0),
        0 => {
            eprintln!("metaos: the program has ended itself by signal {signal}");
            process::end(128 + signal)
        }
        _ => {
            ledger::note(number, at);
            Ok(0)
        }
    }
}

//! What a benchmark leaves on the host while it runs, and that none of it is left however it ends.
//!
//! Machines die with this process, and a namespace with its last process; so what has to be taken care of is one
//! directory and the client program that runs at the moment. Both are undone at the end, at Ctrl-C and at a panic.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{panic, process, thread};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit status after a signal, as a shell shows that of SIGINT.
const STATUS_INTERRUPTED: i32 = 130;

static LEFT: Mutex<Left> = Mutex::new(Left { directory: None, child: None });

struct Left {
    directory: Option<PathBuf>,
    child: Option<Pid>,
}

/// A directory for sockets and the like; removed when dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory, and undoes everything from now on if a signal or a panic ends the process.
    ///
    /// This starts a thread: what a process may only do before its first must have been done.
    pub(super) fn create() -> io::Result<Self> {
        let path = tempfile::Builder::new().prefix("metaos-bench-").tempdir()?.keep();
        left().directory = Some(path.clone());
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |information| {
            before(information);
            undo();
        }));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                undo();
                eprintln!("metaos: the benchmark was interrupted; nothing of it is left");
                process::exit(STATUS_INTERRUPTED);
            }
        });
        Ok(Self(path))
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        undo();
    }
}

/// A client program that runs; killed if the benchmark is ended meanwhile.
#[derive(Debug)]
pub(super) struct Child(());

impl Child {
    /// Takes care of the process `id` until this is dropped.
    pub(super) fn register(id: u32) -> Self {
        left().child = i32::try_from(id).ok().and_then(Pid::from_raw);
        Self(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        left().child = None;
    }
}

fn undo() {
    let mut left = left();
    if let Some(child) = left.child.take() {
        // It may have ended by itself.
        let _ = kill_process(child, Signal::KILL);
    }
    if let Some(directory) = left.directory.take() {
        // What cannot be removed is in the host's directory for such things.
        drop(fs::remove_dir_all(directory));
    }
}

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

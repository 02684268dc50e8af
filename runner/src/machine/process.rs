//! The QEMU process: it never outlives the thread that started it, and a terminal's Ctrl-C does not reach it.
//!
//! The one place of the machine that needs unsafe code: Linux asks a child to name the signal it wants at its
//! parent's death itself, between fork and exec.

use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// How often a wait for the end looks.
const POLL: Duration = Duration::from_millis(1);

/// A running process; killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Mutex<Child>,
    id: u32,
}

impl Process {
    /// Starts `command` in a process group of its own, with `descriptors` at the given numbers and its error output
    /// in a pipe.
    ///
    /// The process is killed when the calling *thread* ends (`prctl(2)`, `PR_SET_PDEATHSIG`).
    pub(super) fn start(
        mut command: Command,
        descriptors: Vec<(OwnedFd, RawFd)>,
    ) -> io::Result<(Self, Option<ChildStderr>)> {
        let mappings = descriptors.into_iter().map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
        let errors = child.stderr.take();
        Ok((Self { id: child.id(), child: Mutex::new(child) }, errors))
    }

    /// Returns the process id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Ends the process if it still runs.
    pub(super) fn kill(&self) {
        // It fails only for a process that has ended already.
        drop(self.lock().kill());
    }

    /// Waits at most `timeout` for the end; `None`: it still runs.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.lock().try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.lock();
        drop(child.kill());
        drop(child.wait());
    }
}

fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe functions may run: the closure makes two system calls
    // and allocates nothing (the error is a plain number).
    unsafe { command.pre_exec(move || ask_for_death_signal(parent)) };
}

/// The parent may have died before the question was asked; then nobody is left to send the signal.
fn ask_for_death_signal(parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()))
    }
}

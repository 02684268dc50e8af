//! The process of a machine: it never outlives the thread that started it, a terminal's Ctrl-C does not reach it, and
//! it has no open file but those it is given.
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
pub(crate) struct Process {
    child: Mutex<Child>,
    id: u32,
}

impl Process {
    /// Starts `command` in a process group of its own, with `descriptors` at the given numbers, its error output in a
    /// pipe, and no other open file.
    ///
    /// The process is killed when the calling *thread* ends (`prctl(2)`, `PR_SET_PDEATHSIG`).
    pub(crate) fn start(
        mut command: Command,
        descriptors: Vec<(OwnedFd, RawFd)>,
    ) -> io::Result<(Self, Option<ChildStderr>)> {
        let last = descriptors.iter().map(|(_, number)| *number).fold(libc::STDERR_FILENO, RawFd::max);
        let mappings = descriptors.into_iter().map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        prepare(&mut command, last);
        let mut child = command.spawn()?;
        let errors = child.stderr.take();
        Ok((Self { id: child.id(), child: Mutex::new(child) }, errors))
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Ends the process if it still runs.
    pub(crate) fn kill(&self) {
        // It fails only for a process that has ended already.
        drop(self.lock().kill());
    }

    /// Waits at most `timeout` for the end; `None`: it still runs.
    pub(crate) fn wait(&self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
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

fn prepare(command: &mut Command, last: RawFd) {
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe functions may run: the closure makes three system calls
    // and allocates nothing (an error is a plain number).
    unsafe {
        command.pre_exec(move || {
            close_behind(last)?;
            ask_for_death_signal(parent)
        });
    }
}

/// Lets exec close what whoever started this process left open; what this process opens is closed by exec anyway.
fn close_behind(last: RawFd) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: the call takes plain numbers, and closes nothing before exec.
    let result = unsafe { libc::close_range(last.cast_unsigned() + 1, u32::MAX, flags) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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

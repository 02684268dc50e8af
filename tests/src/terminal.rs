//! The command `cargo metaos` as a user at a terminal has it: words in, text out, Ctrl-C, and what it leaves behind.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{child_named, is_running};
use crate::program::{self, Place};

/// Longest wait for anything; a guest takes a tenth of a second, a build of one that is built already a second.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// A running command.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    input: Option<ChildStdin>,
    output: Screen,
    errors: Screen,
    temporary: TempDir,
    /// End of the name that the machine's process goes by.
    machine_name: String,
    /// QEMU, or the guest's own process, once seen: it must not outlive the command.
    machine: Option<u32>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ending {
    /// Exit status.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error.
    pub errors: String,
}

#[derive(Debug)]
struct Screen {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `cargo metaos` with `words`, in a directory for temporary files of its own.
    ///
    /// # Panics
    ///
    /// The command cannot be built or started.
    #[must_use]
    pub fn start(directory: &Path, words: &[&str]) -> Self {
        let temporary = TempDir::new().expect("the host has a directory for temporary files");
        let mut command = Command::new(program::command(directory));
        command.arg("metaos").args(words).env("TMPDIR", temporary.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("what cargo has just built can be started");
        let input = child.stdin.take();
        let (output, errors) = (Screen::new(child.stdout.take()), Screen::new(child.stderr.take()));
        let machine_name = runner::qemu::PROGRAM.to_owned();
        Self { child, input, output, errors, temporary, machine_name, machine: None }
    }

    /// Starts `cargo metaos run` of a program's image there, with more words.
    ///
    /// # Panics
    ///
    /// The command or the program cannot be built.
    #[must_use]
    pub fn run(directory: &Path, place: Place, program: &str, words: &[&str]) -> Self {
        let image = program::image(directory, program, program::Boot::Direct);
        let image = image.to_str().expect("the directory for tests has a name of text");
        let accelerator = match place {
            Place::Machine => "tcg",
            Place::Process => "hosted",
        };
        let mut terminal = Self::start(directory, &[&["run", image, "--accel", accelerator], words].concat());
        if place == Place::Process {
            program.clone_into(&mut terminal.machine_name);
        }
        terminal
    }

    /// Types on standard input.
    ///
    /// # Panics
    ///
    /// The command is gone.
    pub fn type_text(&mut self, text: &str) {
        let input = self.input.as_mut().expect("the input has not been closed");
        input.write_all(text.as_bytes()).expect("the command reads its input");
    }

    /// Closes standard input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits until `text` stands on standard output.
    ///
    /// # Panics
    ///
    /// It does not come.
    pub fn wait_for_output(&self, text: &str) {
        self.output.wait_for(text, &self.errors);
    }

    /// Waits until `text` stands on standard error.
    ///
    /// # Panics
    ///
    /// It does not come.
    pub fn wait_for_error(&self, text: &str) {
        self.errors.wait_for(text, &self.output);
    }

    /// Sends the command a signal, as a terminal does at Ctrl-C.
    ///
    /// # Panics
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Sends the machine's process a signal.
    ///
    /// # Panics
    ///
    /// It does not run.
    pub fn signal_machine(&mut self, signal: Signal) {
        send(self.machine(), signal);
    }

    /// Returns the machine's process, once it runs: QEMU's, or the guest's own.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub fn machine(&mut self) -> u32 {
        if let Some(machine) = self.machine {
            return machine;
        }
        let parent = self.child.id();
        let machine = within(TIMEOUT, || child_named(parent, &self.machine_name));
        let machine = machine
            .unwrap_or_else(|| panic!("{} does not start:\n{}", self.machine_name, self.errors.text()));
        self.machine = Some(machine);
        machine
    }

    /// Tells whether the command still runs after `time`.
    ///
    /// # Panics
    ///
    /// The host does not tell.
    #[must_use]
    pub fn runs_for(&mut self, time: Duration) -> bool {
        within(time, || self.child.try_wait().expect("a child can be waited for")).is_none()
    }

    /// Waits for the end, and checks that neither a process nor a temporary file is left.
    ///
    /// # Panics
    ///
    /// It does not end, or leaves something behind.
    #[must_use]
    pub fn end(mut self) -> Ending {
        let status = within(TIMEOUT, || self.child.try_wait().expect("a child can be waited for"));
        let Some(status) = status else {
            panic!("the command does not end:\n{}\n{}", self.output.text(), self.errors.text());
        };
        if let Some(machine) = self.machine {
            let is_gone = within(TIMEOUT, || (!is_running(machine)).then_some(()));
            assert!(is_gone.is_some(), "{} outlives the command", self.machine_name);
        }
        let left: Vec<PathBuf> = fs::read_dir(self.temporary.path())
            .expect("the directory for temporary files is still there")
            .map(|entry| entry.expect("the directory can be read").path())
            .collect();
        // A command that was killed cannot tidy up.
        assert!(status.code().is_none() || left.is_empty(), "left behind: {left:?}");
        Ending { status, output: self.output.finish(), errors: self.errors.finish() }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It fails only for a process that has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Screen {
    fn new(stream: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&text);
        let reader = stream.map(|mut stream| {
            thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut piece) {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..count]);
                }
            })
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    fn wait_for(&self, text: &str, other: &Self) {
        let found = within(TIMEOUT, || self.text().contains(text).then_some(()));
        assert!(found.is_some(), "`{text}` does not come:\n{}\n{}", self.text(), other.text());
    }

    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader does not panic");
        }
        self.text()
    }
}

/// Asks again and again, at most for `limit`.
fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Some(answer) => return Some(answer),
            None if Instant::now() >= deadline => return None,
            None => thread::sleep(POLL),
        }
    }
}

fn send(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.cast_signed());
    kill(process, signal).unwrap_or_else(|error| panic!("no {signal} for process {process}: {error}"));
}

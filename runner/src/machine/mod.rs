//! A running machine: its process (QEMU, or the guest itself as a Linux process), its console and its control channel.
//!
//! Console and control channel are pipes or sockets that the process inherits, so there is no path to clash, no file to
//! remove, and the end of the process is the end of the stream. How the guest ended comes over the control channel
//! alone; the process's own exit status is only looked at when nothing came. What differs between the kinds of machine
//! is how they start: `qemu` here and [`crate::hosted`], which leave the same behind (`Started`).

pub(crate) mod arguments;
mod capture;
mod channels;
mod config;
mod process;
mod qemu;
mod started;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use arguments::{ConfigError, arguments};
pub use config::{
    Accelerator, Console, DEFAULT_MEMORY_MIB, Firmware, Image, MachineConfig, MachineKind, Transport,
};

use crate::control::Record;
use crate::crash::{CrashReport, Symbols};
use crate::hosted::{self, Companion, HostedError};
use crate::network::{Forward, Network, NetworkError};
use crate::qemu::QemuError;
use capture::Capture;
use channels::Event;
pub(crate) use process::Process;
pub(crate) use started::{Channel, Started};

/// How long the process may take to end after the guest said how it ended, before it is ended.
const GRACE: Duration = Duration::from_secs(1);
/// How long the process may linger after it closed its channels.
const REAPING: Duration = Duration::from_secs(10);
/// Channels that are closed when the process has ended: console and control.
const CHANNELS: usize = 2;

/// How a machine ended.
#[derive(Debug)]
pub struct Outcome {
    /// The guest's exit status; [`abi::control::STATUS_CRASHED`] if it crashed.
    pub status: u8,
    /// What happened, if it crashed.
    pub crash: Option<CrashReport>,
    /// What it printed.
    pub console: String,
}

/// Why a machine did not run to an end that it could tell.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU is not there.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The configuration is no machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The guest cannot be started as a process.
    #[error(transparent)]
    Hosted(#[from] HostedError),
    /// A port cannot be published.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The host refused something.
    #[error("cannot start the machine: {0}")]
    Host(#[from] io::Error),
    /// It ran longer than it was given.
    #[error("the machine still ran after {} s and was ended; its console said:\n{console}", limit.as_secs())]
    TimedOut {
        /// How long it had.
        limit: Duration,
        /// What it printed.
        console: String,
    },
    /// The process ended and the guest had not said how it ended.
    #[error("{}", describe_silence(*accelerator, *status, errors, console))]
    Silent {
        /// What it ran on.
        accelerator: Accelerator,
        /// The process's own status.
        status: ExitStatus,
        /// What the process complained about.
        errors: String,
        /// What the guest printed.
        console: String,
    },
    /// It was ended from outside.
    #[error("the machine was ended")]
    Killed,
    /// Nobody reads the console any more.
    #[error("standard output was closed, so the machine was ended")]
    ConsoleLost,
}

/// A running machine. Dropping it ends it.
///
/// Its process dies with the thread that started the machine, however that ends.
#[derive(Debug)]
pub struct Machine {
    handle: Handle,
    events: Receiver<Event>,
    console: File,
    output: Arc<Capture>,
    errors: Arc<Capture>,
    readers: Vec<JoinHandle<()>>,
    open_channels: usize,
    record: Option<Record>,
    symbols: Symbols,
    has_exit_port_status: bool,
    qmp: Option<PathBuf>,
    command: String,
    accelerator: Accelerator,
    network: Network,
    /// Dropped when the process has gone.
    _companion: Option<Box<dyn Companion>>,
}

/// Steers a machine from another thread, for example a signal's.
#[derive(Clone, Debug)]
pub struct Handle {
    process: Arc<Process>,
    control: Arc<File>,
    is_killed: Arc<AtomicBool>,
}

impl Handle {
    /// Asks the guest to stop. It may answer, or not.
    pub fn request_stop(&self) {
        // A machine that has ended needs no request.
        drop((&*self.control).write_all(&[abi::control::REQUEST_STOP]));
    }

    /// Ends the machine at once.
    pub fn kill(&self) {
        self.is_killed.store(true, Ordering::SeqCst);
        self.process.kill();
    }
}

impl Machine {
    /// Starts a machine.
    ///
    /// # Errors
    ///
    /// The configuration is no machine, a port is in use, what it runs on is missing, or the host refuses the process.
    pub fn start(config: &MachineConfig) -> Result<Self, MachineError> {
        let started = match config.accelerator {
            Accelerator::Tcg | Accelerator::Kvm => qemu::start(config)?,
            Accelerator::Hosted => hosted::start(config)?,
        };
        Ok(Self::watch(started, config)?)
    }

    fn watch(started: Started, config: &MachineConfig) -> io::Result<Self> {
        let Started { command, process, errors: stderr, console, control, network, companion } = started;
        let (sender, events) = channel();
        let (ready, is_ready) = channel();
        let is_disc = matches!(config.image, Image::Cdrom(_));
        if is_disc {
            // Its own command line says whether it has a control channel; it may never tell.
            ready.send(()).ok();
        }
        let (output, errors) = (Arc::new(Capture::default()), Arc::new(Capture::default()));
        let mut readers = vec![
            channels::read_console(console.from_machine, config.console, Arc::clone(&output), sender.clone()),
            channels::read_control(control.from_machine, sender, ready),
        ];
        readers.extend(stderr.map(|stream| channels::read_errors(stream, Arc::clone(&errors))));
        if config.console == Console::Terminal {
            channels::pass_input(console.to_machine.try_clone()?, is_ready);
        }
        Ok(Self {
            handle: Handle {
                process: Arc::new(process),
                control: Arc::new(control.to_machine),
                is_killed: Arc::default(),
            },
            events,
            console: console.to_machine,
            output,
            errors,
            readers,
            open_channels: CHANNELS,
            record: None,
            symbols: config.symbols.clone(),
            has_exit_port_status: is_disc,
            qmp: config.qmp.clone(),
            command,
            accelerator: config.accelerator,
            network,
            _companion: companion,
        })
    }

    /// Returns a handle for other threads.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns the id of the process: QEMU's, or the guest's own.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.handle.process.id()
    }

    /// Returns the published ports; what was asked for as host port 0 has its real number here.
    #[must_use]
    pub fn forwards(&self) -> &[Forward] {
        match &self.network {
            Network::User(user) => &user.forwards,
            _ => &[],
        }
    }

    /// Returns what was executed, as one would type it.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Returns what executes the guest's instructions.
    #[must_use]
    pub fn accelerator(&self) -> Accelerator {
        self.accelerator
    }

    /// Asks the guest to stop. It may answer, or not.
    pub fn request_stop(&self) {
        self.handle.request_stop();
    }

    /// Ends the machine at once.
    pub fn kill(&self) {
        self.handle.kill();
    }

    /// Types on the console.
    ///
    /// # Errors
    ///
    /// The machine has ended.
    pub fn type_on_console(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.console).write_all(bytes)
    }

    /// Returns what the guest printed so far.
    #[must_use]
    pub fn console(&self) -> String {
        self.output.text()
    }

    /// Waits until the guest has printed `text`; tells whether it has.
    #[must_use]
    pub fn wait_for_console(&self, text: &str, timeout: Duration) -> bool {
        self.output.wait_for(text, timeout)
    }

    /// Waits at most `timeout` for the machine's end. The machine has ended when this returns, in any case.
    ///
    /// # Errors
    ///
    /// It ran too long, was ended from outside, or its process ended without a word from the guest.
    pub fn wait(mut self, timeout: Duration) -> Result<Outcome, MachineError> {
        let mut deadline = Instant::now().checked_add(timeout);
        while self.open_channels > 0 {
            match self.next_event(deadline) {
                Some(Event::Record(record)) if self.record.is_none() => {
                    self.record = Some(record);
                    deadline = Some(Instant::now() + GRACE);
                }
                Some(Event::Record(_)) => {}
                Some(Event::Closed) => self.open_channels -= 1,
                Some(Event::ConsoleLost) => {
                    self.kill();
                    return Err(MachineError::ConsoleLost);
                }
                None if self.record.is_some() => {
                    self.handle.process.kill();
                    deadline = Some(Instant::now() + REAPING);
                }
                None => {
                    self.kill();
                    return Err(MachineError::TimedOut { limit: timeout, console: self.console() });
                }
            }
        }
        self.conclude()
    }

    /// Returns the next event; `None`: the deadline has passed.
    fn next_event(&self, deadline: Option<Instant>) -> Option<Event> {
        let Some(deadline) = deadline else { return self.events.recv().ok() };
        match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(event) => Some(event),
            // Both readers have gone, each after it said so.
            Err(RecvTimeoutError::Disconnected) => Some(Event::Closed),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }

    fn conclude(&mut self) -> Result<Outcome, MachineError> {
        let Some(status) = self.handle.process.wait(REAPING)? else { return Err(MachineError::Killed) };
        // The process is gone: its ends are closed, so the readers end.
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        let console = self.output.text();
        match self.record.take() {
            Some(Record::Exit(status)) => Ok(Outcome { status, crash: None, console }),
            Some(Record::Crash(crash)) => {
                let crash = Some(CrashReport::new(*crash, &self.symbols));
                Ok(Outcome { status: abi::control::STATUS_CRASHED, crash, console })
            }
            Some(Record::Ready) | None if self.handle.is_killed.load(Ordering::SeqCst) => {
                Err(MachineError::Killed)
            }
            Some(Record::Ready) | None => self.conclude_without_record(status, console),
        }
    }

    /// A disc may have been made without the control channel: the exit port then carries seven bits.
    fn conclude_without_record(&self, status: ExitStatus, console: String) -> Result<Outcome, MachineError> {
        let errors = self.errors.text();
        match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) if self.has_exit_port_status && code & 1 == 1 && errors.is_empty() => {
                Ok(Outcome { status: code >> 1, crash: None, console })
            }
            _ => Err(MachineError::Silent { accelerator: self.accelerator, status, errors, console }),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.handle.process.kill();
        // Killed processes end at once; the readers follow.
        drop(self.handle.process.wait(REAPING));
        self.readers.drain(..).for_each(|reader| drop(reader.join()));
        if let Some(path) = &self.qmp {
            drop(std::fs::remove_file(path));
        }
    }
}

fn describe_silence(accelerator: Accelerator, status: ExitStatus, errors: &str, console: &str) -> String {
    let program = match accelerator {
        Accelerator::Tcg | Accelerator::Kvm => "qemu",
        Accelerator::Hosted => "the guest's process",
    };
    let mut text = match status.code() {
        Some(0) if errors.is_empty() && accelerator != Accelerator::Hosted => {
            "the machine reset or powered off and the guest had not said how it ended (a triple fault, or an image \
             this machine does not boot); try --gdb, or another --machine or --firmware"
                .to_owned()
        }
        _ => format!("{program} ended ({status}) and the guest had not said how it ended"),
    };
    let said = format!("{program} said");
    let sections = [(said.as_str(), errors), ("the console said", console)];
    for (title, body) in sections.into_iter().filter(|(_, body)| !body.trim().is_empty()) {
        text += &format!("\n{title}:\n{}", body.trim_end());
    }
    text
}

//! The two guests: how each is started and reached, on the same machine.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counter::{Counter, CounterError, Detail};
use super::cpu_time::NAMED_THREADS;
use super::ground::Ground;
use super::images::Images;
use super::linux::{self, LinuxError};
use crate::builder::BuildError;
use crate::command_line::CommandLine;
use crate::crash::Symbols;
use crate::machine::{Image, Machine, MachineConfig, MachineError};
use crate::network::Protocol;
use crate::workspace::WorkspaceError;

/// Memory of both machines, in MiB.
pub(super) const MEMORY_MIB: u64 = 256;
/// What both guests print when they serve.
const SERVING: &str = "serving";
/// How long a guest may take to serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a network card offers a guest to do for it (QEMU's names; the guest's and the host's direction).
const OFFLOADS: [&str; 14] = [
    "csum",
    "gso",
    "guest_csum",
    "guest_tso4",
    "guest_tso6",
    "guest_ecn",
    "guest_ufo",
    "host_tso4",
    "host_tso6",
    "host_ecn",
    "host_ufo",
    "guest_uso4",
    "guest_uso6",
    "host_uso",
];

/// Which guest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Ours.
    Ours,
    /// Stock Linux.
    Linux,
}

/// Whether the network card sums and segments for the guests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offloads {
    /// As QEMU and the guests have it by default.
    #[default]
    On,
    /// Off for both guests.
    Off,
}

/// Which program serves a workload in our guest. In the Linux guest one serves all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Program {
    Http,
    Netbench,
}

/// A service of a guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    Http,
    Echo,
    DatagramEcho,
    Sink,
    DatagramSink,
    Source,
    DatagramSource,
    Close,
    Figures,
}

/// What a machine is started with besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Instrument {
    /// Nothing that costs time.
    Nothing,
    /// The counter of instructions.
    Counter(Detail),
}

/// Why a guest cannot be made or started.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The program is not there.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// Our image cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The Linux guest cannot be made.
    #[error(transparent)]
    Linux(#[from] LinuxError),
    /// The machine does not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Instructions cannot be counted.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// The guest does not serve.
    #[error("the guest did not serve in time; its console said:\n{console}")]
    NotServing {
        /// What it printed.
        console: String,
    },
    /// The program was not made.
    #[error("there is no image of this guest")]
    NoImage,
}

/// Starts guests.
#[derive(Debug)]
pub(super) struct Guests {
    pub(super) images: Images,
    pub(super) ground: Ground,
    pub(super) offloads: Offloads,
    /// Directory of sockets.
    pub(super) scratch: PathBuf,
    /// Bytes of the first HTTP answer that came: all have to be as long.
    pub(super) answer_length: OnceCell<usize>,
}

impl Guests {
    /// Starts a guest.
    pub(super) fn start(
        &self,
        kind: Kind,
        program: Program,
        instrument: Instrument,
    ) -> Result<Running, GuestError> {
        self.start_with_memory(kind, program, instrument, MEMORY_MIB)
    }

    /// Starts a guest with another amount of memory.
    pub(super) fn start_with_memory(
        &self,
        kind: Kind,
        program: Program,
        instrument: Instrument,
        memory_mib: u64,
    ) -> Result<Running, GuestError> {
        let socket = self.scratch.join("counter");
        // The one of the last machine is of no use any more.
        drop(std::fs::remove_file(&socket));
        let config = MachineConfig { memory_mib, ..self.config(kind, program, instrument, &socket)? };
        let machine = Machine::start(&config)?;
        let counter = match instrument {
            Instrument::Nothing => None,
            Instrument::Counter(_) => Some(Counter::connect(&socket)?),
        };
        Ok(Running { machine, counter, ground: self.ground })
    }

    /// Returns the flags of QEMU that both machines have, as they would be typed.
    pub(super) fn flags(&self) -> Vec<String> {
        let socket = self.scratch.join("counter");
        let config = self.config(Kind::Ours, Program::Http, Instrument::Nothing, &socket);
        let words =
            config.ok().and_then(|config| crate::machine::arguments(&config).ok()).unwrap_or_default();
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let image = words.iter().position(|word| word == "-kernel").unwrap_or(words.len());
        let own = words.len().saturating_sub(self.extra(Instrument::Nothing, &socket).len());
        [&words[..image], &words[own.max(image)..]].concat()
    }

    fn config(
        &self,
        kind: Kind,
        program: Program,
        instrument: Instrument,
        socket: &Path,
    ) -> Result<MachineConfig, GuestError> {
        let (address, gateway) = self.ground.guest();
        let line = CommandLine::new().option("net.ip", address).option("net.gw", gateway);
        let mut extra_arguments = self.extra(instrument, socket);
        let (image, command_line, symbols) = match kind {
            Kind::Ours => {
                let image = self.images.ours(program)?;
                (image.path.clone(), line.argument(program.name()), image.symbols.clone())
            }
            Kind::Linux => {
                let guest = self.images.linux()?;
                extra_arguments.extend(["-initrd".into(), guest.initramfs.clone().into()]);
                let line = linux::OPTIONS.iter().fold(line, |line, word| line.word(word));
                (guest.kernel.clone(), line, Symbols::default())
            }
        };
        Ok(MachineConfig {
            memory_mib: MEMORY_MIB,
            network: self.ground.network(program.ports()),
            command_line,
            symbols,
            extra_arguments,
            ..MachineConfig::new(Image::Kernel(image))
        })
    }

    fn extra(&self, instrument: Instrument, socket: &Path) -> Vec<OsString> {
        let mut words: Vec<OsString> = NAMED_THREADS.iter().map(OsString::from).collect();
        words.extend(["-smp".into(), "1".into()]);
        if self.offloads == Offloads::Off {
            for name in OFFLOADS {
                words.extend(["-global".into(), format!("virtio-net-pci.{name}=off").into()]);
            }
        }
        if let Instrument::Counter(detail) = instrument {
            words.extend(self.images.plugin.arguments(socket, detail));
        }
        words
    }
}

impl Program {
    /// Returns its name in the workspace.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Netbench => "netbench",
        }
    }

    fn ports(self) -> &'static [(Protocol, u16)] {
        match self {
            Self::Http => &[(Protocol::Tcp, 80)],
            Self::Netbench => &[
                (Protocol::Tcp, 5201),
                (Protocol::Tcp, 5202),
                (Protocol::Tcp, 5203),
                (Protocol::Tcp, 5204),
                (Protocol::Tcp, 5205),
                (Protocol::Udp, 5201),
                (Protocol::Udp, 5202),
                (Protocol::Udp, 5203),
            ],
        }
    }
}

impl Service {
    fn port(self) -> (Protocol, u16) {
        match self {
            Self::Http => (Protocol::Tcp, 80),
            Self::Echo => (Protocol::Tcp, 5201),
            Self::DatagramEcho => (Protocol::Udp, 5201),
            Self::Sink => (Protocol::Tcp, 5202),
            Self::DatagramSink => (Protocol::Udp, 5202),
            Self::Source => (Protocol::Tcp, 5203),
            Self::DatagramSource => (Protocol::Udp, 5203),
            Self::Close => (Protocol::Tcp, 5204),
            Self::Figures => (Protocol::Tcp, 5205),
        }
    }
}

/// A guest that runs. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    machine: Machine,
    counter: Option<Counter>,
    ground: Ground,
}

impl Running {
    /// Waits until the guest says that it serves. It is not asked over the network: that would cost it instructions.
    pub(super) fn wait_until_serving(&self) -> Result<(), GuestError> {
        self.wait_until_serving_for(PATIENCE)
    }

    /// Waits so long at most.
    pub(super) fn wait_until_serving_for(&self, patience: Duration) -> Result<(), GuestError> {
        match self.machine.wait_for_console(SERVING, patience) {
            true => Ok(()),
            false => Err(GuestError::NotServing { console: self.machine.console() }),
        }
    }

    /// Returns where a service of it is reached.
    pub(super) fn address(&self, service: Service) -> io::Result<SocketAddr> {
        let (protocol, port) = service.port();
        let reached = self.ground.reach(&self.machine, protocol, port);
        reached.ok_or_else(|| io::Error::other(format!("port {port} of the guest is not published")))
    }

    /// Returns the counter, if it was started with one.
    pub(super) fn counter(&mut self) -> Result<&mut Counter, GuestError> {
        let missing = || CounterError::Silent(io::Error::other("the machine was started without it"));
        Ok(self.counter.as_mut().ok_or_else(missing)?)
    }

    pub(super) fn process_id(&self) -> u32 {
        self.machine.process_id()
    }

    pub(super) fn console(&self) -> String {
        self.machine.console()
    }
}

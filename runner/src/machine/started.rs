//! What the start of a machine leaves, whatever it runs on: its process, and this side of its channels.
//!
//! The one seam between the kinds of machine: [`super::qemu`] and [`crate::hosted`] make it, and from here on nobody
//! asks which of them did.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ChildStderr;

use super::process::Process;
use crate::hosted::Companion;
use crate::network::Network;

/// Size of a pipe from the machine, in bytes: the most that Linux gives to everybody.
const PIPE_SIZE: usize = 1 << 20;

/// A machine that runs.
#[derive(Debug)]
pub(crate) struct Started {
    /// What was executed, as one would type it.
    pub(crate) command: String,
    /// Its process.
    pub(crate) process: Process,
    /// What the process itself complains about.
    pub(crate) errors: Option<ChildStderr>,
    /// The console.
    pub(crate) console: Channel,
    /// The control channel.
    pub(crate) control: Channel,
    /// Its network; what was asked for as any free port has its number here.
    pub(crate) network: Network,
    /// Who works for it on this side and goes when it has gone.
    pub(crate) companion: Option<Box<dyn Companion>>,
}

/// This process's ends of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) from_machine: File,
    pub(crate) to_machine: File,
}

/// The machine's ends of a channel of two pipes.
#[derive(Debug)]
pub(crate) struct PipeEnds {
    /// The machine writes here.
    pub(crate) output: OwnedFd,
    /// The machine reads here.
    pub(crate) input: OwnedFd,
}

impl Channel {
    /// Makes a channel of two pipes.
    pub(crate) fn of_pipes() -> io::Result<(Self, PipeEnds)> {
        let (from_machine, output) = io::pipe()?;
        let (input, to_machine) = io::pipe()?;
        // The host may refuse so much; the reader is quick enough with less.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_SIZE);
        let channel = Self {
            from_machine: File::from(OwnedFd::from(from_machine)),
            to_machine: File::from(OwnedFd::from(to_machine)),
        };
        Ok((channel, PipeEnds { output: output.into(), input: input.into() }))
    }
}

//! One TCP connection and what its service does with it, as far as it goes without waiting.

use super::figures::{FIGURES, Open};
use crate::protocol::{NUMBER_BYTES, Service, WITHOUT_END, send_filling, send_number};
use libos::io::{ErrorKind, Result, Write};
use libos::net::TcpStream;
use libos::poll::Readiness;
use libos::vec::Vec;

/// Bytes that are sent back at a time.
const PIECE_BYTES: usize = 4096;

/// A connection. It is closed when it is dropped.
pub(super) struct Connection {
    stream: TcpStream,
    state: State,
    _open: Open,
}

/// How far a connection has come.
pub(super) enum Progress {
    /// It goes on when the socket is ready.
    Waits(Readiness),
    /// It is to be closed.
    Over,
}

/// What is to be done next.
enum State {
    /// Send back what comes, first these bytes, for which there was no room.
    Echo(Vec<u8>),
    /// Take bytes; so many were taken.
    Sink(u64),
    /// Read how much to send; of that number so many bytes are known.
    Asked([u8; NUMBER_BYTES], usize),
    /// Send so many bytes.
    Source(u64),
    /// Send the figures.
    Figures,
}

/// Whether there is more to do.
enum Step {
    /// At once.
    Again,
    /// When more has come.
    Wait,
    /// No.
    Done,
}

impl Connection {
    /// Takes over a connection that has just been accepted. It does not wait.
    pub(super) fn new(service: Service, stream: TcpStream) -> Self {
        Self { stream, state: State::new(service), _open: FIGURES.open(service) }
    }

    /// Returns what a new connection waits for.
    pub(super) fn first_interest(service: Service) -> Readiness {
        State::new(service).interest()
    }

    /// Does what can be done now.
    pub(super) fn advance(&mut self) -> Progress {
        loop {
            match self.step() {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => return Progress::Waits(self.state.interest()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Progress::Waits(self.state.interest());
                }
                // That a client breaks off is no news.
                Ok(Step::Done) | Err(_) => return Progress::Over,
            }
        }
    }

    fn step(&mut self) -> Result<Step> {
        let stream = &self.stream;
        match &mut self.state {
            State::Echo(left) if left.is_empty() => echo(stream, left),
            State::Echo(left) => {
                let count = send_some(stream, left)?;
                left.drain(..count);
                Ok(Step::Again)
            }
            State::Sink(taken) => sink(stream, taken),
            State::Asked(number, known) if *known == NUMBER_BYTES => {
                self.state = State::Source(u64::from_le_bytes(*number));
                Ok(Step::Again)
            }
            State::Asked(number, known) => take_number(stream, number, known),
            State::Source(left) => source(stream, left),
            State::Figures => {
                // There is room: nothing was sent before.
                (&mut &*stream).write_all(FIGURES.line().as_bytes())?;
                Ok(Step::Done)
            }
        }
    }
}

impl State {
    const fn new(service: Service) -> Self {
        match service {
            Service::Echo => Self::Echo(Vec::new()),
            Service::Sink => Self::Sink(0),
            Service::Source => Self::Asked([0; NUMBER_BYTES], 0),
            Service::Close | Service::Figures => Self::Figures,
        }
    }

    fn interest(&self) -> Readiness {
        match self {
            Self::Echo(left) if left.is_empty() => Readiness::READABLE,
            Self::Sink(_) | Self::Asked(..) => Readiness::READABLE,
            Self::Echo(_) | Self::Source(_) | Self::Figures => Readiness::WRITABLE,
        }
    }
}

/// Sends back what is here; what there is no room for is left in `left`.
fn echo(stream: &TcpStream, left: &mut Vec<u8>) -> Result<Step> {
    let count = stream.read_with(|bytes| {
        let count = bytes.len().min(PIECE_BYTES);
        left.extend_from_slice(&bytes[..count]);
        (count, count)
    })?;
    let sent = match send_some(stream, left) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        sent => sent?,
    };
    left.drain(..sent);
    Ok(match count {
        0 => Step::Done,
        // A message that comes whole is followed by none: its sender waits for the answer.
        _ if sent == count && count < PIECE_BYTES => Step::Wait,
        _ => Step::Again,
    })
}

/// Sends as much as there is room for.
fn send_some(stream: &TcpStream, bytes: &[u8]) -> Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    stream.write_with(|space| {
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        (count, count)
    })
}

fn sink(stream: &TcpStream, taken: &mut u64) -> Result<Step> {
    let count = stream.read_with(|bytes| (bytes.len(), bytes.len()))?;
    *taken += count as u64;
    if count > 0 {
        return Ok(Step::Again);
    }
    // There is room: nothing was sent before.
    send_number(stream, *taken)?;
    Ok(Step::Done)
}

/// Reads on in a number of which `known` bytes are known.
fn take_number(stream: &TcpStream, number: &mut [u8; NUMBER_BYTES], known: &mut usize) -> Result<Step> {
    let left = &mut number[*known..];
    let count = stream.read_with(|bytes| {
        let count = bytes.len().min(left.len());
        left[..count].copy_from_slice(&bytes[..count]);
        (count, count)
    })?;
    *known += count;
    Ok(if count == 0 { Step::Done } else { Step::Again })
}

fn source(stream: &TcpStream, left: &mut u64) -> Result<Step> {
    if *left == 0 {
        return Ok(Step::Done);
    }
    let sent = send_filling(stream, *left)?;
    if *left != WITHOUT_END {
        *left -= sent;
    }
    Ok(Step::Again)
}

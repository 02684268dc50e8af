//! One connection: moves bytes between the socket and the protocol, as far as it goes without waiting.

use crate::figures::{FIGURES, OpenConnection};
use core::mem;
use http_protocol::{Checksum, Persistence, Session, Step};
use libos::io::{ErrorKind, Result};
use libos::net::{Shutdown, TcpStream};
use libos::poll::Readiness;

/// The pattern of `/bytes/N`: byte i of a body is i modulo this prime.
const PATTERN_PERIOD: usize = 251;

/// Most that is taken in from a client that is refused, in bytes.
const MOST_DRAINED: u64 = 1 << 20;
/// What is kept of the memory for answers, in bytes: enough for the usual ones.
const KEPT_OUTPUT: usize = 256;

/// A connection.
pub(crate) struct Connection {
    stream: TcpStream,
    session: Session,
    work: Work,
    /// How much of the session's output is sent.
    sent: usize,
    _open: OpenConnection,
}

/// How far a connection has come.
pub(crate) enum Progress {
    /// It goes on when the socket is ready.
    Waits(Readiness),
    /// It is to be closed.
    Over,
}

/// What is done after the output is sent.
enum Work {
    /// Answer requests.
    Answer,
    /// Send the pattern: the place in it, and how many bytes are left.
    Send { place: u64, left: u64, persistence: Persistence },
    /// Receive a body.
    Sink { length: u64, left: u64, checksum: Checksum, persistence: Persistence },
    /// Say that no more is sent, and let so many bytes at most come.
    Drain { left: u64 },
    /// Close.
    Close,
}

/// Whether more can be done at once.
enum Turn {
    Again,
    Waits(Readiness),
}

impl Connection {
    /// Takes over a connection that has just been accepted. It does not wait.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            session: Session::new(),
            work: Work::Answer,
            sent: 0,
            _open: FIGURES.open_connection(),
        }
    }

    /// Tells a client that has just connected that there is no room for it.
    pub(crate) fn refuse(stream: TcpStream) {
        let mut connection = Self::new(stream);
        http_protocol::refuse(&mut connection.session.output);
        connection.work = Work::Close;
        // If even that fails the client sees the connection close, which says the same.
        let _ = connection.turn();
    }

    /// Does what can be done now.
    pub(crate) fn advance(&mut self) -> Progress {
        let mut turn = self.turn();
        loop {
            match turn {
                Ok(Turn::Waits(interest)) => return Progress::Waits(interest),
                Ok(Turn::Again) if matches!(self.work, Work::Close) && self.is_sent() => {
                    return Progress::Over;
                }
                Ok(Turn::Again) => turn = self.turn(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Progress::Waits(self.interest());
                }
                // A client that breaks off is no news.
                Err(_) => return Progress::Over,
            }
        }
    }

    /// Returns how many bytes of memory are held for the connection, without the socket's.
    pub(crate) fn held(&self) -> usize {
        self.session.held()
    }

    fn turn(&mut self) -> Result<Turn> {
        if !self.is_sent() {
            self.send_output()?;
            // The set tells of what comes from now on, not of what is here.
            let waits = matches!(self.work, Work::Answer)
                && self.is_sent()
                && !self.session.has_carry()
                && !self.stream.has_input();
            return Ok(if waits { Turn::Waits(Readiness::READABLE) } else { Turn::Again });
        }
        match &mut self.work {
            Work::Answer => self.answer()?,
            Work::Send { left: 0, persistence, .. } => self.work = after(*persistence),
            Work::Send { place, left, .. } => {
                let count = send_pattern(&self.stream, *place, *left)?;
                (*place, *left) = (*place + count, *left - count);
            }
            Work::Sink { length, left: 0, checksum, persistence } => {
                self.session.finish_sink(*length, mem::replace(checksum, Checksum::new()), *persistence);
                self.work = after(*persistence);
            }
            Work::Sink { left, checksum, .. } => *left -= receive_body(&self.stream, *left, checksum)?,
            Work::Drain { left } => {
                if drain(&self.stream, left)? == 0 {
                    self.work = Work::Close;
                }
            }
            Work::Close => {}
        }
        Ok(Turn::Again)
    }

    /// Answers what is here.
    fn answer(&mut self) -> Result<()> {
        let Self { stream, session, .. } = self;
        let step = match session.has_carry().then(|| session.feed(&[], &FIGURES).1) {
            Some(step) if step != Step::Read || !session.output.is_empty() => step,
            _ => stream.read_with(|piece| {
                if piece.is_empty() { (0, Step::Close) } else { session.feed(piece, &FIGURES) }
            })?,
        };
        FIGURES.add_requests(mem::take(&mut session.answered));
        self.work = match step {
            Step::Read => Work::Answer,
            Step::Close => Work::Close,
            Step::Refuse => Work::Drain { left: MOST_DRAINED },
            Step::Send(left, persistence) => Work::Send { place: 0, left, persistence },
            Step::Sink(length, persistence) => {
                let mut checksum = Checksum::new();
                let early = session.take_body(length);
                checksum.add(&early);
                Work::Sink { length, left: length - early.len() as u64, checksum, persistence }
            }
        };
        Ok(())
    }

    fn send_output(&mut self) -> Result<()> {
        let Self { stream, session, sent, .. } = self;
        let rest = &session.output[*sent..];
        *sent += stream.write_with(|space| copy(rest, space))?;
        if *sent == session.output.len() {
            session.output.clear();
            session.output.shrink_to(KEPT_OUTPUT);
            *sent = 0;
        }
        Ok(())
    }

    fn is_sent(&self) -> bool {
        self.session.output.is_empty()
    }

    /// What the socket must be ready for after it would have waited.
    fn interest(&self) -> Readiness {
        let is_sending = !self.is_sent() || matches!(self.work, Work::Send { .. });
        if is_sending { Readiness::WRITABLE } else { Readiness::READABLE }
    }
}

const fn after(persistence: Persistence) -> Work {
    match persistence {
        Persistence::Close => Work::Close,
        Persistence::KeepAlive | Persistence::KeepAliveSaid => Work::Answer,
    }
}

/// Sends up to `left` bytes of the pattern from `place` on, and returns how many.
fn send_pattern(stream: &TcpStream, place: u64, left: u64) -> Result<u64> {
    let most = usize::try_from(left).unwrap_or(usize::MAX);
    let sent = stream.write_with(|space| {
        let count = most.min(space.len());
        fill(place, &mut space[..count]);
        (count, count)
    })?;
    Ok(sent as u64)
}

/// Writes the pattern from `place` on.
#[expect(clippy::cast_possible_truncation, reason = "the remainders are below 251")]
fn fill(place: u64, space: &mut [u8]) {
    let start = (place % PATTERN_PERIOD as u64) as usize;
    for (byte, index) in space.iter_mut().zip(start..).take(PATTERN_PERIOD) {
        *byte = (index % PATTERN_PERIOD) as u8;
    }
    // What is written is copied behind itself, each time twice as much.
    let mut filled = PATTERN_PERIOD;
    while filled < space.len() {
        let count = filled.min(space.len() - filled);
        space.copy_within(..count, filled);
        filled += count;
    }
}

/// Receives up to `left` bytes of a body and returns how many.
fn receive_body(stream: &TcpStream, left: u64, checksum: &mut Checksum) -> Result<u64> {
    let received = receive(stream, &mut |piece| {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        checksum.add(&piece[..count]);
        count
    })?;
    if received == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(received) }
}

/// Ends the sending side and takes in what has come; returns how many bytes, 0 at the end and when it is enough.
fn drain(stream: &TcpStream, left: &mut u64) -> Result<u64> {
    stream.shutdown(Shutdown::Write)?;
    let count = receive(stream, &mut <[u8]>::len)?.min(*left);
    *left -= count;
    Ok(if *left == 0 { 0 } else { count })
}

/// Passes a piece of what is here to `take`, and returns how much that takes of it.
fn receive(stream: &TcpStream, take: &mut dyn FnMut(&[u8]) -> usize) -> Result<u64> {
    stream.read_with(|piece| {
        let count = take(piece);
        (count, count as u64)
    })
}

fn copy(bytes: &[u8], space: &mut [u8]) -> (usize, usize) {
    let count = bytes.len().min(space.len());
    space[..count].copy_from_slice(&bytes[..count]);
    (count, count)
}

//! One connection: moves bytes between the socket and the protocol.

use crate::figures::FIGURES;
use http_protocol::{Checksum, Persistence, Session, Step};
use libos::io::{ErrorKind, Result, Write};
use libos::net::TcpStream;
use libos::time::Duration;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(75);
/// The pattern of `/bytes/N`: byte i of a body is i modulo this prime.
const PATTERN_PERIOD: u8 = 251;
/// Some periods of the pattern, so that it is copied in larger pieces.
const PATTERN: [u8; PATTERN_PERIOD as usize * 16] = pattern();

/// Serves a connection to its end.
///
/// # Errors
///
/// The client broke it off or was silent for too long.
pub(crate) fn serve(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut session = Session::new();
    loop {
        let step = advance(stream, &mut session)?;
        FIGURES.add_requests(core::mem::take(&mut session.answered));
        send_output(stream, &mut session)?;
        let persistence = match step {
            Step::Read => Persistence::KeepAlive,
            Step::Close => Persistence::Close,
            Step::Send(count, persistence) => {
                send_pattern(stream, count)?;
                persistence
            }
            Step::Sink(length, persistence) => {
                let checksum = receive_body(stream, &mut session, length)?;
                session.finish_sink(length, checksum, persistence);
                send_output(stream, &mut session)?;
                persistence
            }
        };
        if persistence == Persistence::Close {
            return Ok(());
        }
    }
}

/// Answers what is here, or waits for more.
fn advance(stream: &TcpStream, session: &mut Session) -> Result<Step> {
    if session.has_carry() {
        let (_, step) = session.feed(&[], &FIGURES);
        if step != Step::Read || !session.output.is_empty() {
            return Ok(step);
        }
    }
    stream.read_with(|piece| if piece.is_empty() { (0, Step::Close) } else { session.feed(piece, &FIGURES) })
}

fn send_output(mut stream: &TcpStream, session: &mut Session) -> Result<()> {
    stream.write_all(&session.output)?;
    session.output.clear();
    Ok(())
}

fn send_pattern(stream: &TcpStream, count: u64) -> Result<()> {
    let mut sent = 0;
    while sent < count {
        let start = usize::try_from(sent % u64::from(PATTERN_PERIOD)).unwrap_or(0);
        let piece = &PATTERN[start..];
        let most = usize::try_from(count - sent).unwrap_or(usize::MAX).min(piece.len());
        sent += stream.write_with(|space| {
            let length = space.len().min(most);
            space[..length].copy_from_slice(&piece[..length]);
            (length, length as u64)
        })?;
    }
    Ok(())
}

fn receive_body(stream: &TcpStream, session: &mut Session, length: u64) -> Result<Checksum> {
    let mut checksum = Checksum::new();
    let early = session.take_body(length);
    checksum.add(&early);
    let mut left = length - early.len() as u64;
    while left > 0 {
        let received = stream.read_with(|piece| {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            checksum.add(&piece[..count]);
            (count, count as u64)
        })?;
        if received == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        left -= received;
    }
    Ok(checksum)
}

const fn pattern() -> [u8; PATTERN_PERIOD as usize * 16] {
    let mut bytes = [0; PATTERN_PERIOD as usize * 16];
    let mut index = 0;
    let mut value = 0;
    while index < bytes.len() {
        bytes[index] = value;
        value = (value + 1) % PATTERN_PERIOD;
        index += 1;
    }
    bytes
}

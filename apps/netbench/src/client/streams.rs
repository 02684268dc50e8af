//! The workloads over TCP.

use super::outcome::Outcome;
use super::target::Target;
use crate::protocol::{NUMBER_BYTES, Service, WITHOUT_END, send_filling, send_number};
use crate::request::Limit;
use libos::io::{Error, ErrorKind, Read, Result, Write};
use libos::net::{Shutdown, TcpStream};
use libos::vec;

/// Sends a message and waits until it is back, again and again.
pub(super) fn ask_and_answer(target: &Target, size: usize, limit: &Limit) -> Result<Outcome> {
    let stream = target.connect(Service::Echo)?;
    let message = vec![b'n'; size];
    let mut outcome = Outcome::begin();
    while limit.allows(outcome.operations, outcome.start()) {
        (&stream).write_all(&message)?;
        take(&stream, size)?;
        outcome.count(size);
    }
    Ok(outcome.end())
}

/// Sends a stream of bytes.
pub(super) fn send(target: &Target, limit: &Limit) -> Result<Outcome> {
    let stream = target.connect(Service::Sink)?;
    let mut outcome = Outcome::begin();
    while limit.allows(outcome.bytes, outcome.start()) {
        outcome.bytes += send_filling(&stream, limit.count - outcome.bytes)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut taken = [0; NUMBER_BYTES];
    (&stream).read_exact(&mut taken)?;
    outcome.operations = 1;
    let outcome = outcome.end();
    if u64::from_le_bytes(taken) == outcome.bytes {
        Ok(outcome)
    } else {
        Err(Error::new(ErrorKind::InvalidData, "the server did not take what was sent"))
    }
}

/// Receives a stream of bytes.
pub(super) fn receive(target: &Target, limit: &Limit) -> Result<Outcome> {
    let stream = target.connect(Service::Source)?;
    let mut outcome = Outcome::begin();
    send_number(&stream, limit.count)?;
    let mut is_open = true;
    while is_open && limit.allows(outcome.bytes, outcome.start()) {
        let count = stream.read_with(|bytes| (bytes.len(), bytes.len()))?;
        outcome.bytes += count as u64;
        is_open = count > 0;
    }
    outcome.operations = 1;
    let outcome = outcome.end();
    if is_open || limit.count == WITHOUT_END {
        Ok(outcome)
    } else {
        Err(Error::new(ErrorKind::UnexpectedEof, "the server ended the stream too early"))
    }
}

/// Connects and closes, again and again.
pub(super) fn connect(target: &Target, limit: &Limit) -> Result<Outcome> {
    let mut outcome = Outcome::begin();
    while limit.allows(outcome.operations, outcome.start()) {
        let stream = target.connect(Service::Close)?;
        if stream.read_with(|bytes| (0, bytes.len()))? != 0 {
            return Err(Error::new(ErrorKind::InvalidData, "the server sent bytes where it should close"));
        }
        outcome.count(0);
    }
    Ok(outcome.end())
}

/// Takes exactly `count` bytes.
fn take(stream: &TcpStream, count: usize) -> Result<()> {
    let mut left = count;
    while left > 0 {
        let taken = stream.read_with(|bytes| {
            let count = bytes.len().min(left);
            (count, count)
        })?;
        if taken == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the server ended the stream too early"));
        }
        left -= taken;
    }
    Ok(())
}

//! The workloads over UDP.

use super::outcome::Outcome;
use super::target::Target;
use crate::protocol::{MOST_DATAGRAM_BYTES, MOST_DATAGRAMS, NUMBER_BYTES, Service};
use crate::request::Limit;
use libos::io::{Error, ErrorKind, Read, Result};
use libos::net::{SocketAddr, UdpSocket};
use libos::string::String;
use libos::time::Duration;
use libos::vec;

/// How long a datagram may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Datagrams that are asked for at a time when only the time is limited.
const BATCH: u64 = 10_000;

/// Sends a datagram and waits until it is back, again and again.
pub(super) fn ask_and_answer(target: &Target, size: usize, limit: &Limit) -> Result<Outcome> {
    let socket = open(target.address(Service::Echo)?)?;
    let (mut message, mut answer) = (vec![b'n'; size], [0; MOST_DATAGRAM_BYTES]);
    let mut outcome = Outcome::begin();
    while limit.allows(outcome.operations + outcome.lost, outcome.start()) {
        let number = (outcome.operations + outcome.lost).to_le_bytes();
        let numbered = size.min(NUMBER_BYTES);
        message[..numbered].copy_from_slice(&number[..numbered]);
        socket.send(&message)?;
        if receive_same(&socket, &message, &mut answer)? {
            outcome.count(size);
        } else {
            outcome.lost += 1;
        }
    }
    Ok(outcome.end())
}

/// Sends datagrams as fast as they go.
pub(super) fn send(target: &Target, size: usize, limit: &Limit) -> Result<Outcome> {
    let before = datagrams_taken(target)?;
    let socket = open(target.address(Service::Sink)?)?;
    let message = vec![b'n'; size];
    let mut outcome = Outcome::begin();
    while limit.allows(outcome.operations, outcome.start()) {
        socket.send(&message)?;
        outcome.count(size);
    }
    let mut outcome = outcome.end();
    // What is under way comes before a connection that is opened now, or is lost.
    let taken = datagrams_taken(target)?.wrapping_sub(before);
    outcome.lost = outcome.operations.saturating_sub(taken);
    Ok(outcome)
}

/// Receives datagrams as fast as they come.
pub(super) fn receive(target: &Target, size: usize, limit: &Limit) -> Result<Outcome> {
    let socket = open(target.address(Service::Source)?)?;
    let mut outcome = Outcome::begin();
    while limit.allows(outcome.operations + outcome.lost, outcome.start()) {
        let left = limit.count - outcome.operations - outcome.lost;
        let count = left.min(if limit.count == u64::MAX { BATCH } else { MOST_DATAGRAMS });
        receive_batch(&socket, count, size, &mut outcome)?;
    }
    Ok(outcome.end())
}

fn open(address: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Waits for a datagram that is the same as `message`; earlier ones that come too late are passed over.
fn receive_same(socket: &UdpSocket, message: &[u8], buffer: &mut [u8]) -> Result<bool> {
    while let Some(length) = receive_one(socket, buffer)? {
        if buffer[..length] == *message {
            return Ok(true);
        }
    }
    Ok(false)
}

fn receive_batch(socket: &UdpSocket, count: u64, size: usize, outcome: &mut Outcome) -> Result<()> {
    let mut request = [0; 2 * NUMBER_BYTES];
    request[..NUMBER_BYTES].copy_from_slice(&count.to_le_bytes());
    request[NUMBER_BYTES..].copy_from_slice(&(size as u64).to_le_bytes());
    socket.send(&request)?;
    let mut buffer = [0; MOST_DATAGRAM_BYTES];
    for came in 0..count {
        match receive_one(socket, &mut buffer)? {
            Some(length) => outcome.count(length),
            None => {
                outcome.lose(count - came, PATIENCE);
                break;
            }
        }
    }
    Ok(())
}

/// Waits for a datagram; `None` if none comes.
fn receive_one(socket: &UdpSocket, buffer: &mut [u8]) -> Result<Option<usize>> {
    match socket.recv(buffer) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks the server how many datagrams its sink has taken.
fn datagrams_taken(target: &Target) -> Result<u64> {
    let mut text = String::new();
    target.connect(Service::Figures)?.read_to_string(&mut text)?;
    let figure = text.split_whitespace().find_map(|word| word.strip_prefix("datagrams="));
    let figure = figure.and_then(|figure| figure.parse().ok());
    figure.ok_or(Error::new(ErrorKind::InvalidData, "the server does not tell its figures"))
}

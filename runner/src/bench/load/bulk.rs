//! One stream of bytes, into the guest or out of it. An operation is a megabit.
//!
//! iperf3 is what people use, and it speaks a protocol of its own that our native guest does not; so the client is
//! ours, for both guests.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{Load, PATIENCE, Until};

/// Bytes of one call.
const PIECE: usize = 256 << 10;
/// Bytes of a megabit.
pub(in crate::bench) const MEGABIT: u64 = 125_000;

/// Which way the bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::bench) enum Direction {
    /// Into the guest.
    In,
    /// Out of the guest.
    Out,
}

/// Sends or receives so many megabits, or for such a time.
pub(in crate::bench) fn transfer(
    address: SocketAddr,
    direction: Direction,
    until: Until,
) -> io::Result<Load> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let start = Instant::now();
    let (most, time) = match until {
        Until::Operations(megabits) => (megabits * MEGABIT, Duration::MAX),
        Until::Elapsed(time) => (u64::MAX, time),
    };
    let bytes = match direction {
        Direction::In => send(stream, most, start, time)?,
        Direction::Out => receive(stream, most, start, time)?,
    };
    let elapsed = start.elapsed();
    Ok(Load { operations: super::as_number(bytes) / super::as_number(MEGABIT), elapsed, latency: None })
}

/// The guest answers with the number of bytes that it took.
fn send(mut stream: TcpStream, most: u64, start: Instant, time: Duration) -> io::Result<u64> {
    let piece = vec![b'x'; PIECE];
    let mut sent = 0;
    while sent < most && start.elapsed() < time {
        let length = usize::try_from(most - sent).unwrap_or(PIECE).min(PIECE);
        sent += stream.write(&piece[..length])? as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    match u64::from_le_bytes(answer) {
        taken if taken == sent => Ok(sent),
        taken => Err(io::Error::other(format!("the guest took {taken} bytes of {sent}"))),
    }
}

fn receive(mut stream: TcpStream, most: u64, start: Instant, time: Duration) -> io::Result<u64> {
    stream.write_all(&most.to_le_bytes())?;
    let mut buffer = vec![0; PIECE];
    let mut received = 0;
    while received < most && start.elapsed() < time {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::Error::other(format!("the guest ended after {received} bytes of {most}")));
        }
        received += count as u64;
    }
    Ok(received)
}

//! The UDP services: echo, sink, source.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};

use rustix::event::{PollFd, PollFlags, poll};

/// Most datagrams that are taken before others get their turn.
const BATCH: usize = 64;
/// Bounds of a request to the source.
const SMALLEST: u64 = 8;
const LARGEST: u64 = 1472;
const MOST: u64 = 10_000_000;

/// Figures of the sink.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
}

/// Sends each datagram back to its sender.
pub(crate) fn echo(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    for _ in 0..BATCH {
        let Some((length, sender)) = receive(socket, buffer)? else { return Ok(()) };
        // What does not go is lost, as datagrams are.
        let _ = socket.send_to(&buffer[..length], sender);
    }
    Ok(())
}

/// Takes datagrams.
pub(crate) fn sink(socket: &UdpSocket, buffer: &mut [u8], taken: &mut Taken) -> io::Result<()> {
    for _ in 0..BATCH {
        let Some((length, _)) = receive(socket, buffer)? else { return Ok(()) };
        taken.datagrams += 1;
        taken.bytes += length as u64;
    }
    Ok(())
}

/// Serves one request for datagrams.
pub(crate) fn source(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    let Some((16, receiver)) = receive(socket, buffer)? else { return Ok(()) };
    let number = |at: usize| buffer[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (count, size) = (number(0), number(8));
    if count > MOST || !(SMALLEST..=LARGEST).contains(&size) {
        return Ok(());
    }
    let datagram = &mut buffer[..usize::try_from(size).unwrap_or(0)];
    for index in 0..count {
        datagram[..8].copy_from_slice(&index.to_le_bytes());
        send(socket, datagram, receiver)?;
    }
    Ok(())
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
    match socket.recv_from(buffer) {
        Ok(received) => Ok(Some(received)),
        // A port that nobody listens on is told here, and is no failure of ours.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn send(socket: &UdpSocket, datagram: &[u8], receiver: SocketAddr) -> io::Result<()> {
    loop {
        match socket.send_to(datagram, receiver) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(socket, PollFlags::OUT)], None)?;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            Err(error) => return Err(error),
            Ok(_) => return Ok(()),
        }
    }
}

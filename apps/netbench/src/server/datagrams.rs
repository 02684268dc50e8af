//! The services over UDP, each in a thread of its own.

use super::figures::FIGURES;
use crate::protocol::{MOST_DATAGRAM_BYTES, MOST_DATAGRAMS, NUMBER_BYTES};
use libos::io::{ErrorKind, Result};
use libos::net::{SocketAddr, UdpSocket};
use libos::vec;

/// Bytes of the largest datagram that there is.
const DATAGRAM_BYTES: usize = 65_535;

/// Sends back what comes.
pub(super) fn echo(socket: &UdpSocket) -> Result<()> {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        send(socket, &buffer[..length], peer)?;
    }
}

/// Counts what comes.
pub(super) fn sink(socket: &UdpSocket) -> Result<()> {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        let (length, _) = socket.recv_from(&mut buffer)?;
        FIGURES.count_datagram(length);
    }
}

/// Sends as many as it is asked for.
pub(super) fn source(socket: &UdpSocket) -> Result<()> {
    let mut buffer = [0; MOST_DATAGRAM_BYTES];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer)?;
        let Some((count, size)) = read_request(&buffer[..length]) else { continue };
        for index in 0..count {
            buffer[..NUMBER_BYTES].copy_from_slice(&index.to_le_bytes());
            send(socket, &buffer[..size], peer)?;
        }
    }
}

fn read_request(bytes: &[u8]) -> Option<(u64, usize)> {
    let (count, size) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
    let count = u64::from_le_bytes(*count);
    let size = usize::try_from(u64::from_le_bytes(size.try_into().ok()?)).ok()?;
    let is_served = count <= MOST_DATAGRAMS && (NUMBER_BYTES..=MOST_DATAGRAM_BYTES).contains(&size);
    is_served.then_some((count, size))
}

/// Sends a datagram. That one gets lost is in the nature of datagrams; that the device is lost is not.
fn send(socket: &UdpSocket, bytes: &[u8], peer: SocketAddr) -> Result<()> {
    match socket.send_to(bytes, peer) {
        Err(error) if error.kind() == ErrorKind::NetworkDown => Err(error),
        _ => Ok(()),
    }
}

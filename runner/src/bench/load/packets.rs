//! Datagrams one way without waiting, as fast as they go. What was lost on the way does not count.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::{Load, PATIENCE, Until};

/// Silence after which nothing more will come.
const SILENCE: Duration = Duration::from_secs(1);
/// Silence after which what was sent has arrived or is lost.
const SETTLING: Duration = Duration::from_millis(100);
/// Datagrams between two looks at the clock.
const BURST: u64 = 64;
/// Most datagrams of one request (the server's own limit).
const MOST: u64 = 10_000_000;

/// Sends datagrams of `size` bytes to `sink`; `figures` tells how many arrived, which are the operations.
pub(in crate::bench) fn send_packets(
    sink: SocketAddr,
    figures: SocketAddr,
    size: usize,
    until: Until,
) -> io::Result<Load> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(sink)?;
    let before = datagrams(figures)?;
    let (start, mut sent, datagram) = (Instant::now(), 0, vec![0; size]);
    while until.goes_on(sent, start.elapsed()) {
        for _ in 0..BURST {
            send_one(&socket, &datagram)?;
        }
        sent += BURST;
    }
    let elapsed = start.elapsed();
    thread::sleep(SETTLING);
    let arrived = datagrams(figures)?.saturating_sub(before);
    Ok(Load { operations: super::as_number(arrived), elapsed, latency: None })
}

/// A full queue on the way is a lost datagram.
fn send_one(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::NOBUFS.raw_os_error()) => Err(error),
        _ => Ok(()),
    }
}

/// Asks `source` for datagrams of `size` bytes and counts those that come.
pub(in crate::bench) fn receive_packets(source: SocketAddr, size: usize, until: Until) -> io::Result<Load> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(source)?;
    socket.set_read_timeout(Some(SILENCE))?;
    let count = match until {
        Until::Operations(count) => count.min(MOST),
        Until::Elapsed(_) => MOST,
    };
    socket.send(&[count.to_le_bytes(), (size as u64).to_le_bytes()].concat())?;
    let (start, mut last, mut received) = (Instant::now(), Duration::ZERO, 0);
    let mut buffer = vec![0; size];
    while received < count && !matches!(until, Until::Elapsed(time) if start.elapsed() >= time) {
        match socket.recv(&mut buffer) {
            Ok(_) => (received, last) = (received + 1, start.elapsed()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        }
    }
    match received {
        0 => Err(io::Error::new(ErrorKind::TimedOut, "the guest sent no datagram")),
        _ => Ok(Load { operations: super::as_number(received), elapsed: last, latency: None }),
    }
}

fn datagrams(figures: SocketAddr) -> io::Result<u64> {
    let mut stream = TcpStream::connect_timeout(&figures, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    stream.read_to_string(&mut line)?;
    let value = line.split_whitespace().find_map(|word| word.strip_prefix("datagrams=")?.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("the guest's figures are `{}`", line.trim_end())))
}

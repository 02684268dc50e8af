//! `UDP_RR`: one datagram is sent and comes back, then the next.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Latency, Load, Until, silent};

/// A datagram that has not come back by then is lost.
const LOST: Duration = Duration::from_secs(1);
/// So many lost ones in a row, and the guest counts as failed.
const MOST_LOST: u32 = 5;

/// Sends datagrams of `size` bytes, at least 8, one after the other.
pub(in crate::bench) fn exchange_datagrams(
    address: SocketAddr,
    size: usize,
    until: Until,
) -> io::Result<Load> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(LOST))?;
    let (mut datagram, mut answer) = (vec![0; size], vec![0; size]);
    let (start, mut latencies, mut lost) = (Instant::now(), Vec::new(), 0);
    let (mut number, mut ended) = (0_u64, 0_u64);
    while until.goes_on(ended, start.elapsed()) {
        number += 1;
        datagram[..8].copy_from_slice(&number.to_le_bytes());
        let sent_at = Instant::now();
        socket.send(&datagram)?;
        if await_answer(&socket, &datagram, &mut answer)? {
            (ended, lost) = (ended + 1, 0);
            latencies.push(u64::try_from(sent_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        } else {
            lost += 1;
        }
        if lost > MOST_LOST {
            return Err(silent(ended));
        }
    }
    let (elapsed, operations) = (start.elapsed(), super::as_number(ended));
    Ok(Load { operations, elapsed, latency: Latency::of(latencies) })
}

/// Waits for the datagram; answers that come late belong to earlier ones.
fn await_answer(socket: &UdpSocket, datagram: &[u8], answer: &mut [u8]) -> io::Result<bool> {
    let start = Instant::now();
    while start.elapsed() < LOST {
        match socket.recv(answer) {
            Ok(length) if answer[..length] == *datagram => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_that_comes_back_counts() {
        let server = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 100];
            while let Ok((length, sender)) = server.recv_from(&mut buffer) {
                server.send_to(&buffer[..length], sender).unwrap();
            }
        });
        let load = exchange_datagrams(address, 64, Until::Operations(50)).unwrap();
        assert_eq!(load.operations, 50.0);
    }
}

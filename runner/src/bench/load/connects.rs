//! Connections that are opened and closed, one after the other; the guest closes first, so the port is free here.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::{Latency, Load, PATIENCE, Until};

/// Connects, reads the end of the stream, closes.
pub(in crate::bench) fn connect_and_close(address: SocketAddr, until: Until) -> io::Result<Load> {
    let (start, mut ended, mut latencies) = (Instant::now(), 0_u64, Vec::new());
    while until.goes_on(ended, start.elapsed()) {
        let connected_at = Instant::now();
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if stream.read(&mut [0; 8])? != 0 {
            return Err(io::Error::other("the guest sent something instead of closing"));
        }
        latencies.push(u64::try_from(connected_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        ended += 1;
    }
    let (elapsed, operations) = (start.elapsed(), super::as_number(ended));
    Ok(Load { operations, elapsed, latency: Latency::of(latencies) })
}

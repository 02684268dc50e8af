//! The first byte that a starting guest serves: one client after the other knocks, and the first answer counts.
//!
//! What came before the guest listens is lost, and would be sent again a second later; so there is always a fresh
//! client under way. All are closed when the answer is there: none may knock at the next guest.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::exchange::Request;

/// How long a guest may take from its start to the first byte.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a client is sent at first, and the part of the time that has passed by which it is less often: quick
/// and slow guests are measured to the same part of their time.
const FIRST_INTERVAL: Duration = Duration::from_millis(2);
const INTERVAL_SHARE: u32 = 100;
const EVENTS: usize = 64;

/// Returns the time from `start` to the first byte of an HTTP answer from `address`.
pub(in crate::bench) fn await_first_byte(address: SocketAddr, start: Instant) -> io::Result<Duration> {
    let mut knocking = Knocking {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        clients: HashMap::new(),
        sent: 0,
        request: Request::Http.bytes(),
    };
    while start.elapsed() < LIMIT {
        knocking.send_client(address)?;
        let next = Instant::now() + FIRST_INTERVAL.max(start.elapsed() / INTERVAL_SHARE);
        if knocking.has_answer_before(next)? {
            return Ok(start.elapsed());
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the guest did not answer after its start"))
}

struct Knocking {
    epoll: OwnedFd,
    clients: HashMap<u64, TcpStream>,
    sent: u64,
    request: Vec<u8>,
}

impl Knocking {
    fn send_client(&mut self, address: SocketAddr) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            // Before QEMU has opened its end the interface leads nowhere.
            Err(_) => return Ok(()),
        }
        self.sent += 1;
        epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(self.sent), epoll::EventFlags::OUT)?;
        self.clients.insert(self.sent, socket.into());
        Ok(())
    }

    fn has_answer_before(&mut self, deadline: Instant) -> io::Result<bool> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout))?;
            if events.is_empty() {
                return Ok(false);
            }
            if events.iter().any(|event| self.is_answer(event.data.u64())) {
                return Ok(true);
            }
        }
    }

    /// Moves a client on; one that fails is sent home.
    fn is_answer(&mut self, number: u64) -> bool {
        let Some(client) = self.clients.get_mut(&number) else { return false };
        match advance(&self.epoll, client, number, &self.request) {
            Ok(is_answer) => is_answer,
            Err(_) => {
                self.clients.remove(&number);
                false
            }
        }
    }
}

/// Asks when the connection stands, and tells whether an answer has come.
fn advance(epoll: &OwnedFd, client: &mut TcpStream, number: u64, request: &[u8]) -> io::Result<bool> {
    match client.read(&mut [0]) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            client.write_all(request)?;
            epoll::modify(epoll, &*client, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    #[test]
    fn the_first_byte_is_found_when_the_server_comes_late() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let late = Duration::from_millis(200);
        thread::spawn(move || {
            thread::sleep(late);
            let listener = TcpListener::bind(address).unwrap();
            for client in listener.incoming() {
                let mut client = client.unwrap();
                thread::spawn(move || {
                    let count = client.read(&mut [0; 100]).unwrap();
                    client.write_all(if count > 0 { b"x" } else { b"" })
                });
            }
        });
        let time = await_first_byte(address, Instant::now()).unwrap();
        assert!((late..late + Duration::from_secs(5)).contains(&time), "{time:?}");
    }
}

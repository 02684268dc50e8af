//! Requests and answers of fixed length on many connections that stay open: HTTP with keep-alive, and `TCP_RR`.
//!
//! One thread waits for all connections by epoll. So many requests are under way at once as is said, over all
//! connections in turn: with 32 under way over 1 000 connections the guest has as much to do at once as with 32, and
//! what differs is the number of connections. One more thing would: an answer's acknowledgement rides on the next
//! request if that comes within the 40 ms for which Linux puts it off, and is a segment of its own if not. So
//! [`Acknowledgement::AtOnce`] makes it one always, and the guest gets as many segments a request however long a
//! connection rests.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::sockopt::{set_socket_linger, set_tcp_quickack};

use super::{Latency, Load, PATIENCE, Until, silent};

/// Longest head of an HTTP answer.
const LONGEST_HEAD: usize = 8192;
/// Most events that are taken at once.
const EVENTS: usize = 256;
/// Most connections that are opened before their first answers are awaited: a listener's backlog is bounded.
const OPENED_AT_ONCE: usize = 32;

/// What is sent, and what comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::bench) enum Request {
    /// `GET /`, answered with a head and a body.
    Http,
    /// So many bytes, echoed.
    Echo(usize),
}

impl Request {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Http => b"GET / HTTP/1.1\r\nHost: guest\r\n\r\n".to_vec(),
            Self::Echo(size) => vec![b'x'; *size],
        }
    }

    /// Returns the length of the answer that `bytes` are the start of; `None`: it does not show yet.
    fn answer_length(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Echo(size) => Ok(Some(*size)),
            Self::Http => http_length(bytes),
        }
    }
}

/// When the client's kernel acknowledges an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::bench) enum Acknowledgement {
    /// When it likes: mostly with the next request.
    Delayed,
    /// When the answer is there, in a segment without data.
    AtOnce,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that are still to come.
    left: usize,
    sent_at: Instant,
}

/// Open connections.
#[derive(Debug)]
pub(in crate::bench) struct Exchange {
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    epoll: OwnedFd,
    request: Vec<u8>,
    answer_length: usize,
    acknowledgement: Acknowledgement,
    buffer: Vec<u8>,
}

impl Exchange {
    /// Opens so many connections and makes one exchange on each.
    pub(in crate::bench) fn open(
        address: SocketAddr,
        connections: usize,
        request: &Request,
    ) -> io::Result<Self> {
        let mut exchange = Self {
            connections: Vec::with_capacity(connections),
            idle: VecDeque::with_capacity(connections),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            request: request.bytes(),
            answer_length: 0,
            acknowledgement: Acknowledgement::Delayed,
            buffer: vec![0; 64 << 10],
        };
        while exchange.connections.len() < connections {
            let missing = connections - exchange.connections.len();
            for _ in 0..missing.min(OPENED_AT_ONCE) {
                exchange.connect(address, request)?;
            }
        }
        Ok(exchange)
    }

    /// Returns the length of every answer.
    pub(in crate::bench) fn answer_length(&self) -> usize {
        self.answer_length
    }

    /// Makes exchanges, at most `under_way` at once. All have ended when it returns.
    pub(in crate::bench) fn run(&mut self, until: Until, under_way: usize) -> io::Result<Load> {
        let mut run = Run { start: Instant::now(), started: 0, ended: 0, latencies: Vec::new() };
        for _ in 0..under_way.min(self.connections.len()) {
            self.start_next(&mut run, until)?;
        }
        let mut events = Vec::with_capacity(EVENTS);
        while run.ended < run.started {
            events.clear();
            let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(silent(run.ended));
            }
            for event in &events {
                let index = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
                if self.receive(index)? {
                    run.end(self.connections[index].sent_at);
                    self.idle.push_back(index);
                    self.start_next(&mut run, until)?;
                }
            }
        }
        Ok(Load {
            operations: super::as_number(run.ended),
            elapsed: run.start.elapsed(),
            latency: Latency::of(run.latencies),
        })
    }

    /// Says when answers are acknowledged from now on.
    pub(in crate::bench) const fn acknowledging(mut self, acknowledgement: Acknowledgement) -> Self {
        self.acknowledgement = acknowledgement;
        self
    }

    fn connect(&mut self, address: SocketAddr, request: &Request) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        // Closing resets: a close that the guest does not live to answer would be repeated to the next one.
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&self.request)?;
        let length = read_answer(&mut stream, request)?;
        if self.answer_length != 0 && self.answer_length != length {
            return Err(io::Error::other("the guest answers in different lengths"));
        }
        self.answer_length = length;
        stream.set_nonblocking(true)?;
        let index = self.connections.len();
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(index as u64), epoll::EventFlags::IN)?;
        self.connections.push(Connection { stream, left: 0, sent_at: Instant::now() });
        self.idle.push_back(index);
        Ok(())
    }

    fn start_next(&mut self, run: &mut Run, until: Until) -> io::Result<()> {
        if !until.goes_on(run.started, run.start.elapsed()) {
            return Ok(());
        }
        let Some(index) = self.idle.pop_front() else { return Ok(()) };
        let connection = &mut self.connections[index];
        connection.left = self.answer_length;
        connection.sent_at = Instant::now();
        // It is shorter than any send buffer, and the last one was answered.
        connection.stream.write_all(&self.request)?;
        run.started += 1;
        Ok(())
    }

    /// Takes what came; tells whether the answer is complete.
    fn receive(&mut self, index: usize) -> io::Result<bool> {
        let connection = &mut self.connections[index];
        match connection.stream.read(&mut self.buffer) {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the guest closed a connection")),
            Ok(count) if count > connection.left => Err(io::Error::other("the guest answered too much")),
            Ok(count) => {
                connection.left -= count;
                if self.acknowledgement == Acknowledgement::AtOnce {
                    // What the kernel still puts off it sends now; the wish does not last (tcp(7)).
                    set_tcp_quickack(&connection.stream, true)?;
                }
                Ok(connection.left == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

struct Run {
    start: Instant,
    started: u64,
    ended: u64,
    latencies: Vec<u64>,
}

impl Run {
    fn end(&mut self, sent_at: Instant) {
        self.ended += 1;
        self.latencies.push(u64::try_from(sent_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Reads a first answer, whose length is not known yet, and returns it.
fn read_answer(stream: &mut TcpStream, request: &Request) -> io::Result<usize> {
    let mut bytes = vec![0; LONGEST_HEAD];
    let mut received = 0;
    loop {
        let count = stream.read(&mut bytes[received..])?;
        if count == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the guest closed a connection"));
        }
        received += count;
        match request.answer_length(&bytes[..received])? {
            Some(length) if length == received => return Ok(length),
            Some(length) if length < received || length > LONGEST_HEAD => {
                return Err(io::Error::other("the guest's answer has another length than it says"));
            }
            _ => {}
        }
    }
}

fn http_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!("the guest answered `{status}`")));
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| io::Error::other("the guest's answer does not say its length"))?;
    Ok(Some(head.len() + 4 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Echoes on every connection until it is closed.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut reader = stream.try_clone().unwrap();
                    io::copy(&mut reader, &mut stream)
                });
            }
        });
        address
    }

    #[test]
    fn so_many_operations_are_made_as_were_asked_for() {
        let mut exchange = Exchange::open(echo(), 5, &Request::Echo(1)).unwrap();
        for under_way in [1, 3, 5, 9] {
            let load = exchange.run(Until::Operations(100), under_way).unwrap();
            assert_eq!(load.operations, 100.0);
            assert!(load.latency.unwrap().median <= load.latency.unwrap().tail);
        }
    }

    #[test]
    fn the_length_of_an_answer_is_taken_from_its_head() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\n\r\n";
        assert_eq!(http_length(head).unwrap(), Some(head.len() + 3));
        assert_eq!(http_length(b"HTTP/1.1 200 OK\r\n").unwrap(), None);
        assert!(http_length(b"HTTP/1.1 503 Busy\r\n\r\n").is_err());
        assert!(http_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}

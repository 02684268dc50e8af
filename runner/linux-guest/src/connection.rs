//! One TCP connection: what it serves, and what it still has to send.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// The answer to `GET /`: the same bytes as our own guest's.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: metaos\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n\r\nHello from the meta-OS.\n";
const HEAD_END: &[u8] = b"\r\n\r\n";
/// Longest head of a request.
const LONGEST_HEAD: usize = 8192;

/// What a connection serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// Answers to `GET /`.
    Http,
    /// Sends back what comes.
    Echo,
    /// Takes what comes and says how much it was.
    Sink,
    /// Sends as much as is asked for.
    Source,
}

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// Bytes from the client.
    Read,
    /// Room to send.
    Write,
    /// Nothing: it is over.
    Close,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    service: Service,
    /// Part of a head that has not come whole, or of the number that a source reads.
    input: Vec<u8>,
    /// What could not be sent yet.
    output: Vec<u8>,
    /// Bytes that a sink has taken, or that a source has still to send.
    bytes: u64,
    has_ended: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, service: Service) -> Self {
        Self { stream, service, input: Vec::new(), output: Vec::new(), bytes: 0, has_ended: false }
    }

    /// Does what can be done now. `buffer` is room for what comes and is shared by all connections.
    pub(crate) fn advance(&mut self, buffer: &mut [u8]) -> io::Result<Wish> {
        if self.service == Service::Source && self.bytes > 0 {
            return self.pour(buffer);
        }
        if !self.output.is_empty() {
            return self.flush();
        }
        match self.stream.read(buffer) {
            Ok(0) => self.end(),
            Ok(count) => self.take(count, buffer),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Wish::Read),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, count: usize, buffer: &mut [u8]) -> io::Result<Wish> {
        match self.service {
            Service::Http => self.answer(&buffer[..count]),
            Service::Echo => self.send(&buffer[..count]),
            Service::Sink => {
                self.bytes += count as u64;
                Ok(Wish::Read)
            }
            Service::Source => {
                self.input.extend_from_slice(&buffer[..count]);
                let Some(number) = self.input.first_chunk() else { return Ok(Wish::Read) };
                self.bytes = u64::from_le_bytes(*number);
                if self.bytes == 0 { Ok(Wish::Close) } else { self.pour(buffer) }
            }
        }
    }

    fn end(&mut self) -> io::Result<Wish> {
        if self.service != Service::Sink {
            return Ok(Wish::Close);
        }
        self.has_ended = true;
        let taken = self.bytes.to_le_bytes();
        match self.send(&taken)? {
            Wish::Read => Ok(Wish::Close),
            wish => Ok(wish),
        }
    }

    /// A head that comes whole, as nearly all do, is answered without being kept.
    fn answer(&mut self, bytes: &[u8]) -> io::Result<Wish> {
        if self.input.is_empty()
            && bytes.starts_with(b"GET / ")
            && bytes.ends_with(HEAD_END)
            && heads(bytes) == 1
        {
            return self.send(ANSWER);
        }
        self.input.extend_from_slice(bytes);
        let Some(end) = last_head_end(&self.input) else {
            return if self.input.len() > LONGEST_HEAD { Ok(Wish::Close) } else { Ok(Wish::Read) };
        };
        let count = heads(&self.input[..end]);
        self.input.drain(..end);
        self.send(&ANSWER.repeat(count))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<Wish> {
        match self.stream.write(bytes) {
            Ok(count) if count == bytes.len() => Ok(Wish::Read),
            Ok(count) => Ok(self.keep(&bytes[count..])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(self.keep(bytes)),
            Err(error) => Err(error),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Wish {
        self.output.extend_from_slice(bytes);
        Wish::Write
    }

    fn flush(&mut self) -> io::Result<Wish> {
        let output = std::mem::take(&mut self.output);
        match self.send(&output)? {
            Wish::Read if self.has_ended => Ok(Wish::Close),
            wish => Ok(wish),
        }
    }

    fn pour(&mut self, buffer: &[u8]) -> io::Result<Wish> {
        let length = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(buffer.len());
        match self.stream.write(&buffer[..length]) {
            Ok(count) => self.bytes -= count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(if self.bytes == 0 { Wish::Close } else { Wish::Write })
    }
}

fn heads(bytes: &[u8]) -> usize {
    bytes.windows(HEAD_END.len()).filter(|window| *window == HEAD_END).count()
}

fn last_head_end(bytes: &[u8]) -> Option<usize> {
    Some(bytes.windows(HEAD_END.len()).rposition(|window| window == HEAD_END)? + HEAD_END.len())
}

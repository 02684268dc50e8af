//! A plain HTTP/1.1 client that shows what a comfortable one hides: several requests in one piece, several answers
//! on one connection, connections that are left half closed. Every wait is bounded.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for a piece of an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of a line of a header.
const LONGEST_LINE: u64 = 8 << 10;

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// It is refused, or nobody answers.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_within(address, TIMEOUT)
    }

    /// Opens a connection on which no wait is longer than `timeout`.
    ///
    /// # Errors
    ///
    /// It is refused, or nobody answers.
    pub fn connect_within(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(256 << 10, stream) })
    }

    /// Sends bytes as they stand.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub fn finish_sending(&mut self) -> io::Result<()> {
        self.stream.get_mut().shutdown(Shutdown::Write)
    }

    /// Asks for `path` and returns the answer.
    ///
    /// # Errors
    ///
    /// The connection is gone, or the answer is none.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send(request("GET", path, 0).as_bytes())?;
        self.response()
    }

    /// Sends `body` to `path` and returns the answer.
    ///
    /// # Errors
    ///
    /// The connection is gone, or the answer is none.
    pub fn put(&mut self, path: &str, body: &[u8]) -> io::Result<Response> {
        self.send(request("PUT", path, body.len()).as_bytes())?;
        self.send(body)?;
        self.response()
    }

    /// Reads the next answer, whose length must be told in its header.
    ///
    /// # Errors
    ///
    /// The connection is gone, or the answer is none.
    pub fn response(&mut self) -> io::Result<Response> {
        let mut response = self.head()?;
        let length = response.header("content-length").and_then(|text| text.parse::<u64>().ok());
        let length = length.ok_or_else(|| invalid("an answer without its length"))?;
        (&mut self.stream).take(length).read_to_end(&mut response.body)?;
        match response.body.len() as u64 == length {
            true => Ok(response),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Reads the head of the next answer and leaves its body.
    ///
    /// # Errors
    ///
    /// The connection is gone, or the answer is none.
    pub fn head(&mut self) -> io::Result<Response> {
        let line = self.line()?;
        let status =
            line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(format_args!("no status line: {line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None if line.is_empty() => return Ok(Response { status, headers, body: Vec::new() }),
                None => return Err(invalid(format_args!("no header line: {line:?}"))),
            }
        }
    }

    /// Waits until the server closes the connection; an answer that still comes is an error.
    ///
    /// # Errors
    ///
    /// The server sends something, resets the connection, or keeps it open.
    pub fn wait_for_close(&mut self) -> io::Result<()> {
        match self.stream.fill_buf()? {
            [] => Ok(()),
            rest => Err(invalid(format_args!("{} bytes more than expected", rest.len()))),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(LONGEST_LINE).read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Response {
    /// Returns the value of the first header `name`, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Returns the head of a request.
#[must_use]
pub fn request(method: &str, path: &str, body_length: usize) -> String {
    let length = if body_length == 0 { String::new() } else { format!("Content-Length: {body_length}\r\n") };
    format!("{method} {path} HTTP/1.1\r\nHost: guest\r\n{length}\r\n")
}

fn invalid(what: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

//! One connection: requests are answered in the order they come, as far as the bytes reach.

use crate::MAX_HEAD;
use crate::answer::{Framing, Persistence, Status, TEXT, append_head, append_text};
use crate::checksum::Checksum;
use crate::head::{Expectation, Head, Method, Parsed, Place, parse};
use alloc::vec::Vec;
use core::mem;

/// When answers are sent before more requests are looked at, in bytes.
const MOST_OUTPUT: usize = 16 << 10;
const GREETING: &[u8] = b"Hello from the meta-OS.\n";
/// The usual answer with it, which is always the same.
const WHOLE_GREETING: &[u8] = b"HTTP/1.1 200 OK\r\nServer: metaos\r\nContent-Type: text/plain\r\n\
    Content-Length: 24\r\n\r\nHello from the meta-OS.\n";

/// One connection.
#[derive(Debug, Default)]
pub struct Session {
    /// Bytes of a request that is not whole yet.
    carry: Vec<u8>,
    /// Answers that are not sent yet.
    pub output: Vec<u8>,
    /// Requests that were answered since this was last looked at.
    pub answered: u64,
    /// A body that is not looked at and still to come.
    skip: u64,
}

/// What needs the connection itself. What is in [`Session::output`] goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing: more bytes must come.
    Read,
    /// Send so many bytes of the pattern, then close or go on.
    Send(u64, Persistence),
    /// Receive so many bytes, then call [`Session::finish_sink`].
    Sink(u64, Persistence),
    /// Close.
    Close,
    /// Close, but take in first what the client is still sending: it would not see the answer otherwise (RFC 9112,
    /// 9.6).
    Refuse,
}

/// Writes what `/stats` shows.
pub trait Report {
    /// Appends the figures as JSON.
    fn append(&self, output: &mut Vec<u8>);
}

impl Session {
    /// Makes a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that came, answers what can be answered, and returns how many bytes it has taken.
    pub fn feed(&mut self, piece: &[u8], report: &impl Report) -> (usize, Step) {
        if self.carry.is_empty() {
            let (taken, step) = self.answer_all(piece, report);
            if step == Step::Read && !self.is_full() {
                if taken < piece.len() {
                    self.carry.extend_from_slice(&piece[taken..]);
                }
                return (piece.len(), step);
            }
            return (taken, step);
        }
        let mut bytes = mem::take(&mut self.carry);
        // More than a head is never kept; the rest waits where it is.
        let count = piece.len().min((MAX_HEAD + 1).saturating_sub(bytes.len()));
        bytes.extend_from_slice(&piece[..count]);
        let (taken, step) = self.answer_all(&bytes, report);
        if taken < bytes.len() {
            bytes.drain(..taken);
            self.carry = bytes;
        }
        (count, step)
    }

    /// Returns how many bytes of memory are held for this connection.
    #[must_use]
    pub fn held(&self) -> usize {
        self.carry.capacity() + self.output.capacity()
    }

    /// Tells whether so much is answered that it should be sent first.
    fn is_full(&self) -> bool {
        self.output.len() >= MOST_OUTPUT
    }

    /// Tells whether bytes wait here for [`Self::feed`] to be called again, with or without new ones.
    #[must_use]
    pub fn has_carry(&self) -> bool {
        !self.carry.is_empty()
    }

    /// Takes up to `most` bytes that belong to the body of the last request.
    pub fn take_body(&mut self, most: u64) -> Vec<u8> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.carry.len());
        self.carry.drain(..most).collect()
    }

    /// Appends the answer to a body that was received.
    pub fn finish_sink(&mut self, length: u64, checksum: Checksum, persistence: Persistence) {
        let mut body = Vec::new();
        append_text(format_args!("{length} {:016x}\n", checksum.value()), &mut body);
        append_head(Status::Ok, TEXT, body.len() as u64, "", persistence, &mut self.output);
        self.output.extend_from_slice(&body);
    }

    fn answer_all(&mut self, bytes: &[u8], report: &impl Report) -> (usize, Step) {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            if self.skip > 0 {
                let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(rest.len());
                self.skip -= skipped as u64;
                taken += skipped;
                if rest.len() == skipped {
                    return (taken, Step::Read);
                }
                continue;
            }
            if rest.is_empty() || self.is_full() {
                return (taken, Step::Read);
            }
            match parse(rest) {
                Parsed::Incomplete => return (taken, Step::Read),
                Parsed::Bad(status) => {
                    self.answered += 1;
                    status.append("", Persistence::Close, Framing::Whole, &mut self.output);
                    return (bytes.len(), Step::Refuse);
                }
                Parsed::Whole(head) => {
                    taken += head.length;
                    self.answered += 1;
                    let step = self.answer(head, report);
                    if step != Step::Read {
                        return (taken, step);
                    }
                }
            }
        }
    }

    /// Answers one request; [`Step::Read`] if nothing is left to do.
    fn answer(&mut self, head: Head, report: &impl Report) -> Step {
        let Head { method, persistence, .. } = head;
        let framing = method.framing();
        if head.place == Place::Sink {
            return self.answer_sink(head);
        }
        let allowed = matches!(method, Method::Get | Method::Head);
        self.skip = head.body.unwrap_or(0);
        match head.place {
            Place::Nowhere => Status::NotFound.append("", persistence, framing, &mut self.output),
            _ if !allowed => {
                Status::MethodNotAllowed.append("GET, HEAD", persistence, framing, &mut self.output);
            }
            Place::Root if persistence == Persistence::KeepAlive && framing == Framing::Whole => {
                self.output.extend_from_slice(WHOLE_GREETING);
            }
            Place::Root => self.send_body(TEXT, GREETING, persistence, framing),
            Place::Stats => {
                let mut body = Vec::new();
                report.append(&mut body);
                self.send_body("application/json", &body, persistence, framing);
            }
            Place::Bytes(count) => {
                let kind = "application/octet-stream";
                append_head(Status::Ok, kind, count, "", persistence, &mut self.output);
                if framing == Framing::Whole && self.skip == 0 {
                    return Step::Send(count, persistence);
                }
            }
            Place::Sink => {}
        }
        if persistence == Persistence::Close { Step::Close } else { Step::Read }
    }

    fn answer_sink(&mut self, head: Head) -> Step {
        if !matches!(head.method, Method::Put | Method::Post) {
            self.skip = head.body.unwrap_or(0);
            let framing = head.method.framing();
            Status::MethodNotAllowed.append("PUT, POST", head.persistence, framing, &mut self.output);
            return if head.persistence == Persistence::Close { Step::Close } else { Step::Read };
        }
        let Some(length) = head.body else {
            Status::LengthRequired.append("", Persistence::Close, Framing::Whole, &mut self.output);
            return Step::Refuse;
        };
        if head.expectation == Expectation::Continue && length > 0 {
            self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        Step::Sink(length, head.persistence)
    }

    fn send_body(&mut self, kind: &str, body: &[u8], persistence: Persistence, framing: Framing) {
        append_head(Status::Ok, kind, body.len() as u64, "", persistence, &mut self.output);
        if framing == Framing::Whole {
            self.output.extend_from_slice(body);
        }
    }
}

/// Appends the answer for a client that there is no memory for.
pub fn refuse(output: &mut Vec<u8>) {
    Status::Unavailable.append("", Persistence::Close, Framing::Whole, output);
}

//! Answers on the wire.

use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write;

/// The media type of plain text.
pub(crate) const TEXT: &str = "text/plain";
/// Room for a head and a short body.
const ANSWER_BYTES: usize = 256;

/// A status line's number and phrase (RFC 9110, 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 411.
    LengthRequired,
    /// 431 (RFC 6585, 5).
    HeadTooLarge,
    /// 501.
    NotImplemented,
    /// 503.
    Unavailable,
    /// 505.
    VersionNotSupported,
}

/// Whether the connection goes on after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// It does.
    KeepAlive,
    /// It does, and says so to a client of HTTP/1.0, which asked for it.
    KeepAliveSaid,
    /// It ends.
    Close,
}

/// Whether the body is sent or, for HEAD, only its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Head and body.
    Whole,
    /// The head of what would be sent.
    HeadOnly,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::LengthRequired => "411 Length Required",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::NotImplemented => "501 Not Implemented",
            Self::Unavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// Appends an answer of this status with a line of text that says the same. `allow` names the methods that the
    /// place allows, for 405.
    pub(crate) fn append(
        self,
        allow: &str,
        persistence: Persistence,
        framing: Framing,
        output: &mut Vec<u8>,
    ) {
        let line = self.line();
        let extra = if self == Self::MethodNotAllowed { allow } else { "" };
        append_head(self, TEXT, line.len() as u64 + 1, extra, persistence, output);
        if framing == Framing::Whole {
            output.extend_from_slice(line.as_bytes());
            output.push(b'\n');
        }
    }
}

/// Appends the head of an answer with a body of `length` bytes of the media type `kind`.
pub(crate) fn append_head(
    status: Status,
    kind: &str,
    length: u64,
    allow: &str,
    persistence: Persistence,
    output: &mut Vec<u8>,
) {
    // Most answers fit in one piece.
    if output.capacity() < ANSWER_BYTES {
        output.reserve(ANSWER_BYTES);
    }
    let mut text = Text(output);
    text.push("HTTP/1.1 ");
    text.push(status.line());
    text.push("\r\nServer: metaos\r\nContent-Type: ");
    text.push(kind);
    text.push("\r\nContent-Length: ");
    text.push_number(length);
    if !allow.is_empty() {
        text.push("\r\nAllow: ");
        text.push(allow);
    }
    text.push(match persistence {
        Persistence::KeepAlive => "\r\n\r\n",
        Persistence::KeepAliveSaid => "\r\nConnection: keep-alive\r\n\r\n",
        Persistence::Close => "\r\nConnection: close\r\n\r\n",
    });
}

/// Appends formatted text.
pub(crate) fn append_text(arguments: fmt::Arguments<'_>, output: &mut Vec<u8>) {
    // Appending to a vector does not fail.
    let _ = Text(output).write_fmt(arguments);
}

struct Text<'a>(&'a mut Vec<u8>);

impl Text<'_> {
    fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Formatting costs ten times the digits.
    fn push_number(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10).to_le_bytes()[0];
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[start..]);
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

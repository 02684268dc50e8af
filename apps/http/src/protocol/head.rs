//! The head of a request: what is asked for, and what follows it.

use crate::MAX_HEAD;
use crate::answer::{Framing, Persistence, Status};
use crate::lines::{Field, Lines, RequestLine, Stop};

/// Most header lines of a request.
const MAX_HEADERS: usize = 32;

/// What the bytes so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// The beginning of a request.
    Incomplete,
    /// No request that can be answered in kind; the connection ends after the answer.
    Bad(Status),
    /// A whole head.
    Whole(Head),
}

/// The head of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Bytes of it.
    pub(crate) length: usize,
    pub(crate) method: Method,
    pub(crate) place: Place,
    pub(crate) persistence: Persistence,
    /// Bytes of the body that follows; `None`: not said.
    pub(crate) body: Option<u64>,
    pub(crate) expectation: Expectation,
}

/// What shall be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Put,
    Post,
    Other,
}

/// With what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// `/`
    Root,
    /// `/stats`
    Stats,
    /// `/bytes/N`
    Bytes(u64),
    /// `/sink`
    Sink,
    /// Nothing that is here.
    Nowhere,
}

/// Whether the client waits for a word before it sends the body (RFC 9110, 10.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expectation {
    /// It does not.
    None,
    /// It waits for "100 Continue".
    Continue,
}

impl Method {
    /// Returns how an answer to this method is framed.
    pub(crate) const fn framing(self) -> Framing {
        match self {
            Self::Head => Framing::HeadOnly,
            _ => Framing::Whole,
        }
    }
}

/// Reads the head of a request at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    match read(bytes) {
        Ok(head) if head.length > MAX_HEAD => Parsed::Bad(Status::HeadTooLarge),
        Ok(head) => Parsed::Whole(head),
        Err(Failure::Stop(Stop::Incomplete)) if bytes.len() > MAX_HEAD => Parsed::Bad(Status::HeadTooLarge),
        Err(Failure::Stop(Stop::Incomplete)) => Parsed::Incomplete,
        Err(Failure::Stop(Stop::Bad)) => Parsed::Bad(Status::BadRequest),
        Err(Failure::Stop(Stop::Version)) => Parsed::Bad(Status::VersionNotSupported),
        Err(Failure::Refused(status)) => Parsed::Bad(status),
    }
}

/// Why a head is not answered in kind.
enum Failure {
    /// There is none, or not all of it.
    Stop(Stop),
    /// It asks for what cannot be.
    Refused(Status),
}

fn read(bytes: &[u8]) -> Result<Head, Failure> {
    let mut lines = Lines::new(bytes);
    let RequestLine { method: name, target, minor } = lines.request_line()?;
    let is_new = minor == 1;
    let mut head = Head {
        length: 0,
        method: method(name),
        place: place(target),
        persistence: if is_new { Persistence::KeepAlive } else { Persistence::Close },
        body: None,
        expectation: Expectation::None,
    };
    let mut refusal = None;
    let mut hosts = 0;
    let mut count = 0;
    while let Some(field) = lines.field()? {
        count += 1;
        if count > MAX_HEADERS {
            return Err(Failure::Refused(Status::HeadTooLarge));
        }
        // What is wrong with a whole head is said when it is whole.
        refusal = refusal.or(read_field(&field, is_new, &mut hosts, &mut head).err());
    }
    head.length = bytes.len() - lines.rest().len();
    // RFC 9112, 3.2.
    let is_bad = hosts > 1 || (is_new && hosts == 0);
    match refusal.or(is_bad.then_some(Status::BadRequest)) {
        Some(status) if head.length <= MAX_HEAD => Err(Failure::Refused(status)),
        _ => Ok(head),
    }
}

fn read_field(field: &Field<'_>, is_new: bool, hosts: &mut u32, head: &mut Head) -> Result<(), Status> {
    match field.name.len() {
        4 if field.is(b"host") => *hosts += 1,
        6 if is_new && field.is(b"expect") && has_word(field.value, "100-continue") => {
            head.expectation = Expectation::Continue;
        }
        10 if field.is(b"connection") => {
            if has_word(field.value, "close") {
                head.persistence = Persistence::Close;
            } else if !is_new && has_word(field.value, "keep-alive") {
                head.persistence = Persistence::KeepAliveSaid;
            }
        }
        14 if field.is(b"content-length") => {
            let length = length(field.value).ok_or(Status::BadRequest)?;
            // Two that differ are how requests are smuggled (RFC 9112, 6.3).
            if head.body.is_some_and(|other| other != length) {
                return Err(Status::BadRequest);
            }
            head.body = Some(length);
        }
        17 if field.is(b"transfer-encoding") => return Err(Status::NotImplemented),
        _ => {}
    }
    Ok(())
}

fn method(name: &[u8]) -> Method {
    match name {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"PUT" => Method::Put,
        b"POST" => Method::Post,
        _ => Method::Other,
    }
}

fn place(target: &[u8]) -> Place {
    if target == b"/" {
        return Place::Root;
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or(target);
    match path {
        b"/" => Place::Root,
        b"/stats" => Place::Stats,
        b"/sink" => Place::Sink,
        _ => path.strip_prefix(b"/bytes/").and_then(length).map_or(Place::Nowhere, Place::Bytes),
    }
}

/// Reads a number of digits alone: `parse` would take a sign, too.
fn length(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn has_word(list: &[u8], word: &str) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

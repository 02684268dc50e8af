//! The head of a request: what is asked for, and what follows it.

use crate::MAX_HEAD;
use crate::answer::{Framing, Persistence, Status};
use core::mem::MaybeUninit;
use httparse::{Error, Header, Request};

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
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) if length > MAX_HEAD => Parsed::Bad(Status::HeadTooLarge),
        Ok(httparse::Status::Complete(length)) => match understand(&request, length) {
            Ok(head) => Parsed::Whole(head),
            Err(status) => Parsed::Bad(status),
        },
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => Parsed::Bad(Status::HeadTooLarge),
        Ok(httparse::Status::Partial) => Parsed::Incomplete,
        Err(Error::TooManyHeaders) => Parsed::Bad(Status::HeadTooLarge),
        Err(Error::Version) => Parsed::Bad(Status::VersionNotSupported),
        Err(_) => Parsed::Bad(Status::BadRequest),
    }
}

fn understand(request: &Request<'_, '_>, length: usize) -> Result<Head, Status> {
    let is_new = request.version == Some(1);
    let mut head = Head {
        length,
        method: method(request.method.unwrap_or_default()),
        place: place(request.path.unwrap_or_default()),
        persistence: if is_new { Persistence::KeepAlive } else { Persistence::Close },
        body: None,
        expectation: Expectation::None,
    };
    let mut hosts = 0;
    for header in request.headers.iter() {
        hosts += usize::from(header.name.eq_ignore_ascii_case("host"));
        read_header(header, is_new, &mut head)?;
    }
    // RFC 9112, 3.2.
    if hosts > 1 || (is_new && hosts == 0) { Err(Status::BadRequest) } else { Ok(head) }
}

fn read_header(header: &Header<'_>, is_new: bool, head: &mut Head) -> Result<(), Status> {
    let is = |name: &str| header.name.eq_ignore_ascii_case(name);
    if is("connection") {
        if has_word(header.value, "close") {
            head.persistence = Persistence::Close;
        } else if !is_new && has_word(header.value, "keep-alive") {
            head.persistence = Persistence::KeepAliveSaid;
        }
    } else if is("content-length") {
        let length = length(header.value).ok_or(Status::BadRequest)?;
        // Two that differ are how requests are smuggled (RFC 9112, 6.3).
        if head.body.is_some_and(|other| other != length) {
            return Err(Status::BadRequest);
        }
        head.body = Some(length);
    } else if is("transfer-encoding") {
        return Err(Status::NotImplemented);
    } else if is("expect") && is_new && has_word(header.value, "100-continue") {
        head.expectation = Expectation::Continue;
    }
    Ok(())
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "PUT" => Method::Put,
        "POST" => Method::Post,
        _ => Method::Other,
    }
}

fn place(target: &str) -> Place {
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match path {
        "/" => Place::Root,
        "/stats" => Place::Stats,
        "/sink" => Place::Sink,
        _ => path
            .strip_prefix("/bytes/")
            .and_then(|count| length(count.as_bytes()))
            .map_or(Place::Nowhere, Place::Bytes),
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

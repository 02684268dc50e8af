//! HTTP/1.1 (RFC 9112) without a socket: bytes of requests in, bytes of answers out.
//!
//! A [`Session`] is one connection. It answers what can be answered at once, several requests at a time if the client
//! does not wait for answers, and gives back as a [`Step`] what needs the connection itself: a long body to send or
//! to receive, or the end.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod answer;
mod checksum;
mod head;
mod lines;
mod session;

pub use answer::{Framing, Persistence, Status};
pub use checksum::Checksum;
pub use session::{Report, Session, Step, refuse};

/// Most bytes of a request's head.
pub const MAX_HEAD: usize = 8 << 10;

#[cfg(test)]
mod tests;

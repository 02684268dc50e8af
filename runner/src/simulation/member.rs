//! One guest of a simulation: this side of its socket.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use abi::hosted::network::{HEADER, LARGEST_FRAME, TIME};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

/// The guest's end of a lockstep socket, for a configuration. Two are equal if they are the same.
#[derive(Clone, Debug)]
pub struct LockstepSocket(Arc<OwnedFd>);

/// What a guest says.
pub(super) enum Said {
    /// It sends a frame (with the header before it).
    Frame(Vec<u8>),
    /// It sleeps until then, in nanoseconds.
    Sleeps(u64),
    /// It is gone.
    Nothing,
    /// It did not say anything in time.
    TooLate,
}

/// A guest.
pub(super) struct Member {
    socket: OwnedFd,
    state: State,
}

enum State {
    Runs,
    Sleeps(u64),
    Gone,
}

impl Member {
    /// Makes one, and the end that the guest gets.
    pub(super) fn new() -> io::Result<(Self, LockstepSocket)> {
        let (socket, end) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket, state: State::Runs }, LockstepSocket(Arc::new(end))))
    }

    pub(super) const fn is_there(&self) -> bool {
        !matches!(self.state, State::Gone)
    }

    /// Returns until when it sleeps, if it does and not for ever.
    pub(super) const fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Sleeps(until) if until != u64::MAX => Some(until),
            _ => None,
        }
    }

    /// Waits for what it says next, until `deadline`: a guest that never sleeps says nothing.
    pub(super) fn hear(&mut self, deadline: Instant) -> Said {
        if !self.speaks_before(deadline) {
            return Said::TooLate;
        }
        let mut message = vec![0; HEADER + LARGEST_FRAME];
        let length = match recv(&self.socket, message.as_mut_slice(), RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::INTR) => return self.hear(deadline),
            Err(_) => 0,
        };
        message.truncate(length);
        if let Ok(until) = <[u8; TIME]>::try_from(message.as_slice()) {
            let until = u64::from_le_bytes(until);
            self.state = State::Sleeps(until);
            return Said::Sleeps(until);
        }
        if message.is_empty() {
            self.state = State::Gone;
            return Said::Nothing;
        }
        Said::Frame(message)
    }

    fn speaks_before(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], left.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => return outcome != Ok(0),
            }
        }
    }

    /// Wakes it: it is `now_ns`, and `frame` comes in, unless it is empty.
    pub(super) fn tell(&mut self, now_ns: u64, frame: &[u8]) {
        if matches!(self.state, State::Gone) {
            return;
        }
        let message = [now_ns.to_le_bytes().as_slice(), frame].concat();
        self.state = State::Runs;
        // One that is gone is heard of next.
        let _ = send(&self.socket, &message, SendFlags::NOSIGNAL);
    }
}

impl LockstepSocket {
    /// Returns a descriptor for a process.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl PartialEq for LockstepSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for LockstepSocket {}

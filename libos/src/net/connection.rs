//! One TCP connection: its socket, with its way through the interface, and what the shard remembers about it.

use super::error::Error;
use super::frame::Tuple;
use super::link::{Line, Route};
use super::listener::ListenerId;
use super::tuning::Tuning;
use crate::readiness::{Readiness, Token, Waiters};
use crate::slots::Id;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use smoltcp::socket::tcp::{CongestionControl, ElasticBuffers, RecvError, Socket, SocketBuffer, State};
use smoltcp::time::{Duration, Instant};

/// How long a peer may leave the handshake unanswered.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);
/// How long a peer may be silent while it owes us an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a peer is asked whether it is still there without an answer.
const QUESTIONS: u32 = 3;
/// How long a peer may be silent after the program has let go of the connection.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(30);

/// How long a peer may take nothing, and not close either, after the program has let go of the connection, even if it
/// answers: those who do so on purpose would have all connections in the end.
const ORPHAN_IDLENESS: Duration = Duration::from_secs(120);

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) line: Line,
    congestion: CongestionControl,
    pub(crate) tuple: Tuple,
    pub(crate) phase: Phase,
    pub(crate) waiters: Waiters,
    /// It stands in the list of those that may have something to send.
    pub(crate) is_dirty: bool,
    /// It stands in the list of those that wait for an Ethernet address.
    pub(crate) is_unresolved: bool,
    /// When its timer fires.
    pub(crate) timer: Option<Instant>,
    /// When the socket wants its turn, as of its last one.
    pub(crate) deadline: Option<Instant>,
    /// The peer has sent its last byte.
    has_ended: bool,
    /// Why the connection broke.
    failure: Option<Error>,
    /// What ICMP told of the way, which is why it breaks if it does.
    suspicion: Option<Error>,
    /// Since when the peer's Ethernet address is asked for, while connecting.
    pub(crate) unresolved_since: Option<Instant>,
    /// How many bytes were still to be sent when its timer fired after the program had let go of it, and since when.
    rest: Option<(usize, Instant)>,
}

/// Whose turn it is with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// A peer has asked a listener for it; the handshake goes on.
    HalfOpen(ListenerId),
    /// We have asked a peer for it; the handshake goes on.
    Connecting,
    /// It is open, or was, and the program holds it or will accept it.
    Open,
    /// The program has let go of it; what is written still has to be sent.
    Orphan,
    /// All is said; it stays for the peer's last segment to be repeated (`TIME_WAIT`, RFC 9293, 3.6.1).
    Lingering,
}

/// Number of a connection.
pub(crate) type ConnectionId = Id<Box<Connection>>;

/// What reading gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Received<R> {
    /// What the reader made of the bytes.
    Bytes(R),
    /// Nothing is here yet.
    Nothing,
    /// The peer has sent its last byte.
    End,
}

impl Connection {
    /// Bytes of a connection without buffers.
    pub(crate) const BYTES: usize = size_of::<Self>() + Line::SOCKET;

    /// Makes a closed connection, as yet without buffers.
    pub(crate) fn new(buffers: ElasticBuffers, tuning: Tuning) -> Self {
        let mut socket = Socket::new(SocketBuffer::new(Vec::new()), SocketBuffer::new(Vec::new()));
        socket.set_elastic_buffers(Some(buffers));
        socket.set_min_rto(tuning.min_rto);
        Self {
            line: Line::new(socket),
            congestion: tuning.congestion,
            tuple: Tuple::UNSPECIFIED,
            phase: Phase::Orphan,
            waiters: Waiters::new(),
            is_dirty: false,
            is_unresolved: false,
            timer: None,
            deadline: None,
            has_ended: false,
            failure: None,
            suspicion: None,
            unresolved_since: None,
            rest: None,
        }
    }

    /// Makes a used connection as good as new, with its old buffers.
    pub(crate) fn renew(&mut self, tuple: Tuple, route: Route, phase: Phase) {
        self.line.renew(route);
        let congestion = self.congestion;
        let socket = self.socket_mut();
        socket.set_congestion_control(congestion);
        socket.set_nagle_enabled(true);
        socket.set_keep_alive(None);
        // Acknowledgements ride on the answer: the program runs before anything is sent.
        socket.set_ack_delay(None);
        socket.set_timeout(Some(HANDSHAKE_PATIENCE));
        self.tuple = tuple;
        self.phase = phase;
        self.waiters = Waiters::new();
        self.is_dirty = false;
        self.is_unresolved = false;
        self.timer = None;
        self.deadline = None;
        self.has_ended = false;
        self.failure = None;
        self.suspicion = None;
        self.unresolved_since = None;
        self.rest = None;
    }

    #[inline]
    pub(crate) fn socket(&self) -> &Socket<'static> {
        self.line.socket()
    }

    #[inline]
    pub(crate) fn socket_mut(&mut self) -> &mut Socket<'static> {
        self.line.socket_mut()
    }

    /// Returns what the program could do with the connection now.
    #[inline]
    pub(crate) fn readiness(&self) -> Readiness {
        let socket = self.socket();
        let mut ready = Readiness::empty();
        match socket.state() {
            State::Established => return while_open(socket),
            State::SynSent | State::SynReceived => return ready,
            _ => {}
        }
        ready.set(Readiness::READABLE, socket.can_recv() || !socket.may_recv());
        ready.set(Readiness::WRITABLE, socket.can_send() || !socket.may_send());
        ready.set(Readiness::ENDED, self.has_ended);
        ready.set(Readiness::BROKEN, socket.state() == State::Closed);
        ready
    }

    /// Tells whether receiving gives something: bytes, the end, or an error.
    pub(crate) fn has_input(&self) -> bool {
        let socket = self.socket();
        socket.can_recv() || !socket.may_recv()
    }

    /// Tells whether nothing will ever be sent or received again.
    pub(crate) fn is_over(&self) -> bool {
        // An aborted socket keeps its ends until its reset has been sent.
        self.socket().state() == State::Closed && self.socket().local_endpoint().is_none()
    }

    /// Wakes those who waited for what a segment brought, if the connection is open and stays so; else `false`, and
    /// [`observe`](Self::observe) and [`readiness`](Self::readiness) tell what there is to do.
    pub(crate) fn goes_on(&mut self, woken: &mut Vec<Token>) -> bool {
        let socket = self.line.socket_mut();
        if self.phase != Phase::Open || socket.state() != State::Established {
            return false;
        }
        if socket.send_queue() == 0 {
            socket.set_timeout(None);
        }
        if !self.waiters.is_empty() {
            let ready = while_open(socket);
            self.waiters.wake(ready, woken);
        }
        true
    }

    /// Notes what the last segment or timer did to the socket.
    pub(crate) fn observe(&mut self, cause: Cause) {
        let state = self.socket().state();
        if matches!(state, State::TimeWait | State::CloseWait | State::LastAck | State::Closing) {
            self.has_ended = true;
        }
        if state == State::Closed && !self.has_ended && self.failure.is_none() {
            self.failure = Some(match (self.phase, cause) {
                (Phase::Connecting, Cause::Segment) => Error::Refused,
                (_, Cause::Segment) => Error::Reset,
                (_, Cause::Timer) => self.suspicion.unwrap_or(Error::TimedOut),
            });
        }
        if self.phase == Phase::Open && self.owes_us_nothing(state) {
            self.socket_mut().set_timeout(None);
        }
    }

    /// Tells whether the peer may be silent for as long as it likes.
    fn owes_us_nothing(&self, state: State) -> bool {
        matches!(state, State::Established | State::CloseWait | State::FinWait2)
            && self.socket().send_queue() == 0
            && self.socket().timeout().is_some()
    }

    /// Passes received bytes, as many as lie in one piece, to `read`, which returns how many it has taken.
    pub(crate) fn receive<R>(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<Received<R>, Error> {
        let socket = self.line.socket_mut();
        if !socket.can_recv() && socket.may_recv() {
            return Ok(Received::Nothing);
        }
        match socket.recv(read) {
            Ok(result) => Ok(Received::Bytes(result)),
            Err(RecvError::Finished) => Ok(Received::End),
            Err(RecvError::InvalidState) if self.has_ended => Ok(Received::End),
            Err(RecvError::InvalidState) => Err(self.failure.unwrap_or(Error::NotConnected)),
        }
    }

    /// Passes free buffer space, as much as lies in one piece, to `write`, which returns how much it has filled.
    /// `None`: the buffer is full.
    pub(crate) fn send<R>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<Option<R>, Error> {
        let socket = self.line.socket_mut();
        if !socket.can_send() {
            return if socket.may_send() { Ok(None) } else { Err(self.failure.unwrap_or(Error::Closed)) };
        }
        if socket.make_send_room() == 0 {
            return Ok(None);
        }
        if socket.send_queue() == 0 {
            socket.set_timeout(Some(PATIENCE));
        }
        socket.send(write).map(Some).map_err(|_| Error::Closed)
    }

    /// Lets go of the connection. Bytes that the program has not read mean that it broke off (RFC 2525, 2.17).
    pub(crate) fn abandon(&mut self) {
        let is_unread = self.socket().can_recv();
        let socket = self.socket_mut();
        if is_unread {
            socket.abort();
        } else {
            socket.close();
            socket.set_timeout(Some(ORPHAN_PATIENCE));
        }
        self.phase = Phase::Orphan;
        drop(mem::replace(&mut self.waiters, Waiters::new()));
    }

    /// Asks the peer whether it is still there whenever it is silent for `interval`.
    pub(crate) fn set_keep_alive(&mut self, now: Instant, interval: Option<Duration>) {
        self.socket_mut().set_keep_alive(interval);
        if self.phase == Phase::Open && self.owes_us_nothing(self.socket().state()) {
            self.socket_mut().set_timeout(None);
        }
        self.limit_silence(now);
    }

    /// Limits how long a peer that is asked whether it is still there may be silent. To be done before it is asked: each
    /// answer takes the limit away, as those of the program's own questions do.
    pub(crate) fn limit_silence(&mut self, now: Instant) {
        let is_open = self.phase == Phase::Open;
        let socket = self.socket_mut();
        if let Some(interval) = socket.keep_alive()
            && is_open
            && socket.timeout().is_none()
        {
            let silence = socket.last_heard().map_or(Duration::ZERO, |last| now - last);
            socket.set_timeout(Some(silence + interval * QUESTIONS));
        }
    }

    /// Tells whether the program has let go of the connection and the peer has made nothing of it for too long. To be
    /// asked now and then.
    pub(crate) fn is_stuck(&mut self, now: Instant) -> bool {
        if self.phase != Phase::Orphan {
            return false;
        }
        let left = self.socket().send_queue();
        let (known, since) = *self.rest.get_or_insert((left, now));
        if known != left {
            self.rest = Some((left, now));
        }
        known == left && now >= since + ORPHAN_IDLENESS
    }

    /// Breaks the connection off because of `error`.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failure = Some(error);
        self.socket_mut().abort();
    }

    /// Notes an error that may pass.
    pub(crate) fn suspect(&mut self, error: Error) {
        self.suspicion = Some(error);
    }

    /// Returns why the connection broke, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure
    }
}

/// Returns what can be done with a socket of which neither side has ended.
#[inline(always)]
fn while_open(socket: &Socket<'_>) -> Readiness {
    let mut ready = Readiness::empty();
    ready.set(Readiness::READABLE, socket.can_recv());
    ready.set(Readiness::WRITABLE, socket.can_send());
    ready
}

/// What made the socket change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// A segment of the peer.
    Segment,
    /// A deadline of ours.
    Timer,
}

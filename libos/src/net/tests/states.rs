//! Every state of a connection, and what may happen in each: the peer breaks off, vanishes, or opens anew.

use super::peer::{PEERS, Peer, work};
use super::segment::{ACK, FIN, RST, SYN, arp_reply};
use super::wire::{SERVER, World, write};
use crate::net::connection::ConnectionId;
use crate::net::error::Error;
use crate::net::listener::ListenerId;
use crate::net::stack::Progress;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use smoltcp::time::Duration;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::LastAck,
    State::Closing,
    State::TimeWait,
];

/// The states of RFC 9293, 3.3.2, as the host under test has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    LastAck,
    Closing,
    TimeWait,
}

/// A host with one connection in some state.
struct Scene {
    world: World,
    listener: ListenerId,
    peer: Peer,
    /// The connection, as long as the program holds it.
    held: Option<ConnectionId>,
}

impl Scene {
    fn new(state: State) -> Self {
        let mut world = World::new();
        let (listener, _) =
            world.server.stack().listen(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80), 8).unwrap();
        let mut scene = Self { world, listener, peer: Peer::new(99, 80), held: None };
        scene.tell_address();
        match state {
            State::SynSent => scene.connect(),
            State::SynReceived => scene.say(SYN),
            _ => scene.open(),
        }
        match state {
            State::SynSent | State::SynReceived | State::Established => {}
            State::FinWait1 => scene.let_go(),
            State::FinWait2 => {
                scene.let_go();
                scene.say(ACK);
            }
            State::CloseWait => scene.say(FIN | ACK),
            State::LastAck => {
                scene.say(FIN | ACK);
                scene.let_go();
            }
            State::Closing => {
                let expected = scene.peer.expected;
                scene.let_go();
                let heard = core::mem::replace(&mut scene.peer.expected, expected);
                scene.say(FIN | ACK);
                scene.peer.expected = heard;
            }
            State::TimeWait => {
                scene.let_go();
                scene.say(FIN | ACK);
            }
        }
        assert_eq!(scene.count(), 1, "{state:?}");
        scene
    }

    fn tell_address(&mut self) {
        self.world.server.device().incoming.0.push_back(arp_reply(PEERS, SERVER));
        self.work();
    }

    /// The host asks the peer for a connection.
    fn connect(&mut self) {
        let id = self.world.server.stack().connect(self.peer.own).unwrap();
        let tuple = self.world.server.stack().with_connection(id, |connection| connection.tuple).unwrap();
        let SocketAddr::V4(own) = tuple.own_end() else { panic!("it was asked over IPv4") };
        self.peer.other = own;
        self.held = Some(id);
        self.work();
        assert_eq!(self.peer.heard, [SYN]);
    }

    fn open(&mut self) {
        let now = self.world.now;
        self.peer.open(&mut self.world.server, now);
        self.held = self.world.server.stack().accept(self.listener).unwrap().map(|(id, _)| id);
        assert!(self.held.is_some());
    }

    fn say(&mut self, flags: u8) {
        let now = self.world.now;
        self.peer.say(&mut self.world.server, now, flags, &[]);
        self.world.server.stack().audit();
    }

    /// The program lets go of the connection.
    fn let_go(&mut self) {
        if let Some(id) = self.held.take() {
            self.world.server.stack().abandon(id);
        }
        self.work();
    }

    fn work(&mut self) {
        for frame in work(&mut self.world.server, self.world.now) {
            self.peer.hear(&frame);
        }
        self.world.server.stack().audit();
    }

    fn wait(&mut self, duration: Duration) {
        let end = self.world.now + duration;
        while self.world.skip_to_server(end) {
            self.work();
        }
        self.world.now = end;
        self.work();
    }

    fn keep_alive(&mut self, id: ConnectionId, interval: Option<Duration>) {
        let now = self.world.now;
        self.world.server.stack().set_keep_alive(now, id, interval).unwrap();
    }

    fn failure(&mut self, id: ConnectionId) -> Option<Error> {
        self.world.server.stack().with_connection(id, |connection| connection.failure()).unwrap()
    }

    fn count(&mut self) -> usize {
        self.world.server.stack().connection_count()
    }
}

#[test]
fn a_peer_may_break_off_in_every_state() {
    for state in STATES {
        let mut scene = Scene::new(state);
        // Before it has heard of the peer, a host believes only who knows its number.
        scene.say(if state == State::SynSent { RST | ACK } else { RST });
        scene.let_go();
        if state != State::TimeWait {
            assert_eq!(scene.count(), 0, "{state:?}");
        }
        scene.wait(SECONDS(11));
        assert_eq!(scene.count(), 0, "{state:?}");
    }
}

#[test]
fn a_peer_may_vanish_in_every_state() {
    for state in STATES {
        let mut scene = Scene::new(state);
        if let Some(id) = scene.held {
            write(scene.world.server.stack(), id, b"are you there?");
        }
        scene.wait(SECONDS(130));
        scene.let_go();
        scene.wait(SECONDS(1));
        assert_eq!(scene.count(), 0, "{state:?}");
    }
}

#[test]
fn a_peer_may_vanish_after_all_is_said() {
    for state in STATES {
        let mut scene = Scene::new(state);
        scene.let_go();
        scene.wait(SECONDS(70));
        assert_eq!(scene.count(), 0, "{state:?}");
    }
}

#[test]
fn who_guesses_a_number_breaks_nothing_off() {
    for state in [State::Established, State::FinWait2, State::CloseWait] {
        for offset in [1, 100, 2000, u32::MAX, 1 << 31] {
            let mut scene = Scene::new(state);
            let mut guess = scene.peer.segment(RST, &[]);
            guess.sequence = guess.sequence.wrapping_add(offset);
            let now = scene.world.now;
            scene.peer.tell(&mut scene.world.server, now, &guess);
            assert_eq!(scene.count(), 1, "{state:?} {offset}");
            scene.say(RST);
            scene.let_go();
            assert_eq!(scene.count(), 0, "{state:?} {offset}");
        }
    }
}

#[test]
fn a_syn_into_any_state_leaves_the_listener_well() {
    for state in STATES {
        let mut scene = Scene::new(state);
        scene.peer.sequence = scene.peer.sequence.wrapping_add(1 << 20);
        scene.peer.heard.clear();
        scene.say(SYN);
        if state == State::TimeWait {
            assert_eq!(scene.peer.heard, [SYN | ACK], "the old connection gives way");
        }
        scene.let_go();
        scene.wait(SECONDS(130));
        assert_eq!(scene.count(), 0, "{state:?}");
        let mut other = Peer::new(100, 80);
        other.open(&mut scene.world.server, scene.world.now);
        assert!(scene.world.server.stack().accept(scene.listener).unwrap().is_some(), "{state:?}");
    }
}

#[test]
fn a_reset_that_waits_for_an_address_is_not_tried_without_end() {
    let mut scene = Scene::new(State::Established);
    let id = scene.held.unwrap();
    let now = scene.world.now;
    scene.peer.say(&mut scene.world.server, now, ACK, b"nobody reads this");
    write(scene.world.server.stack(), id, b"never acknowledged");
    // Until the host has forgotten the peer's Ethernet address and asks for it again.
    while !work(&mut scene.world.server, scene.world.now).iter().any(|frame| frame[12..14] == [8, 6]) {
        scene.world.now = scene.world.server.deadline(scene.world.now).expect("it tries again");
    }
    scene.let_go();
    scene.wait(SECONDS(5));
    assert_eq!(scene.count(), 0);
}

#[test]
fn a_silent_peer_is_asked_whether_it_is_still_there() {
    let mut scene = Scene::new(State::Established);
    let id = scene.held.unwrap();
    scene.keep_alive(id, Some(SECONDS(10)));
    scene.work();
    scene.say(ACK);
    scene.peer.heard.clear();
    // As long as it answers, the connection stays.
    for _ in 0..100 {
        scene.tell_address();
        scene.wait(SECONDS(10));
        assert_eq!(core::mem::take(&mut scene.peer.heard), [ACK], "once each time");
        scene.say(ACK);
        assert!(scene.peer.heard.is_empty());
    }
    // And what it says is as good as an answer.
    scene.wait(SECONDS(9));
    scene.say(ACK);
    scene.wait(SECONDS(9));
    assert!(scene.peer.heard.is_empty());
    // It vanishes.
    scene.wait(SECONDS(30));
    assert_eq!(scene.peer.heard, [ACK; 3]);
    assert_eq!(scene.failure(id), None);
    scene.wait(SECONDS(2));
    assert_eq!(scene.failure(id), Some(Error::TimedOut));
    scene.let_go();
    assert_eq!(scene.count(), 0);
}

#[test]
fn a_peer_that_has_forgotten_the_connection_breaks_it_off_when_asked() {
    let mut scene = Scene::new(State::Established);
    let id = scene.held.unwrap();
    scene.keep_alive(id, Some(SECONDS(10)));
    scene.wait(SECONDS(10));
    scene.say(RST);
    assert_eq!(scene.failure(id), Some(Error::Reset));
}

#[test]
fn a_silent_peer_is_left_alone_unless_told_otherwise() {
    let mut scene = Scene::new(State::Established);
    let id = scene.held.unwrap();
    scene.peer.heard.clear();
    scene.wait(SECONDS(1_000_000));
    assert!(scene.peer.heard.is_empty());
    // What was asked for can be taken back.
    scene.keep_alive(id, Some(SECONDS(10)));
    scene.wait(SECONDS(1));
    scene.say(ACK);
    scene.keep_alive(id, None);
    scene.wait(SECONDS(10));
    scene.peer.heard.clear();
    scene.wait(SECONDS(1_000_000));
    assert!(scene.peer.heard.is_empty());
    assert_eq!(scene.failure(id), None);
}

#[test]
fn both_may_open_at_once() {
    let mut scene = Scene::new(State::SynSent);
    let id = scene.held.unwrap();
    // The peer has not heard the host's SYN when it sends its own.
    scene.say(SYN);
    assert_eq!(scene.peer.heard.last(), Some(&(SYN | ACK)));
    scene.say(ACK);
    assert_eq!(scene.world.server.stack().connected(id), Ok(Progress::Done));
    assert_eq!(write(scene.world.server.stack(), id, b"hello"), 5);
    scene.work();
    assert_eq!(scene.peer.received, 5);
}

#[test]
fn both_may_close_at_once() {
    let mut scene = Scene::new(State::Closing);
    assert!(scene.peer.has_heard_end());
    scene.say(ACK);
    assert_eq!(scene.count(), 1, "the last acknowledgement may be lost");
    scene.wait(SECONDS(11));
    assert_eq!(scene.count(), 0);
    assert!(!scene.peer.is_refused());
}

#[test]
fn a_refusal_is_told_from_a_silence() {
    let mut scene = Scene::new(State::SynSent);
    let id = scene.held.unwrap();
    // One that answers nothing that was said.
    let mut stray = scene.peer.segment(RST | ACK, &[]);
    stray.acknowledged = stray.acknowledged.wrapping_add(7);
    let now = scene.world.now;
    scene.peer.tell(&mut scene.world.server, now, &stray);
    assert_eq!(scene.world.server.stack().connected(id), Ok(Progress::Waiting));
    scene.say(RST | ACK);
    assert_eq!(scene.world.server.stack().connected(id), Err(Error::Refused));

    let mut scene = Scene::new(State::SynSent);
    let id = scene.held.unwrap();
    scene.wait(SECONDS(30));
    assert_eq!(scene.world.server.stack().connected(id), Err(Error::TimedOut));
}

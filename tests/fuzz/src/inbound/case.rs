//! One case: a host with connections in every state, what the input does to it, and whether it serves afterwards.

use crate::input::Input;
use crate::net::connection::{ConnectionId, Received};
use crate::net::datagram::DatagramId;
use crate::net::error::Error;
use crate::net::listener::ListenerId;
use crate::net::pool::BufferPlan;
use crate::net::tests::peer::{PEERS, Peer, exchange, work};
use crate::net::tests::segment::{ACK, FIN, SYN};
use crate::net::tests::wire::{SERVER, World, read, write};
use crate::packets;
use smoltcp::time::Duration;
use std::env;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::LazyLock;

const PLAN: BufferPlan = BufferPlan { floor: 1024, most: 2048, budget: 4096, limit: 16 };
const BACKLOG: usize = 4;
const PORT: u16 = 80;
/// Most that a table of this host has room for; where it is reached, something grows with what comes in.
const MOST_ENTRIES: usize = 8192;
/// After so long, whatever the peers have left is gone, an entry in the cache of Ethernet addresses too.
const PATIENCE: Duration = Duration::from_secs(400);

/// Plants a defect: the target fails where a connection that the host asks for is refused. Getting there takes a
/// segment with right numbers, flags and checksums, and the whole way through the stack.
static IS_PLANTED: LazyLock<bool> = LazyLock::new(|| env::var_os("METAOS_FUZZ_PLANTED").is_some());

/// A host, and the peers that it talks to.
struct Case {
    world: World,
    listener: ListenerId,
    datagram: DatagramId,
    peers: Vec<Peer>,
    /// Connections that the program holds.
    held: Vec<ConnectionId>,
    /// The last frame that the host has sent.
    last: Vec<u8>,
}

/// Plays one input.
pub(crate) fn run(mut input: Input<'_>) {
    let mut case = Case::new();
    while case.operate(&mut input).is_some() {
        case.world.server.stack().audit();
        if *IS_PLANTED {
            case.assert_no_refusal();
        }
    }
    case.end();
}

impl Case {
    fn new() -> Self {
        let mut world = World::with_plan(PLAN);
        let stack = world.server.stack();
        let (listener, _) =
            stack.listen(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT), BACKLOG).expect("it is free");
        let (datagram, _) = stack.bind(SocketAddrV4::new(SERVER, 7), 512).expect("it is free");
        let mut case =
            Self { world, listener, datagram, peers: Vec::new(), held: Vec::new(), last: Vec::new() };
        case.open_all();
        case
    }

    /// Brings a connection into each state.
    fn open_all(&mut self) {
        for port in 1000..1007 {
            let mut peer = Peer::new(port, PORT);
            peer.open(&mut self.world.server, self.world.now);
            self.peers.push(peer);
            self.accept();
        }
        self.say(0, FIN | ACK); // CLOSE-WAIT
        self.let_go(1); // FIN-WAIT-2
        self.say(1, ACK);
        self.let_go(2); // TIME-WAIT
        self.say(2, FIN | ACK);
        self.say(3, FIN | ACK); // LAST-ACK
        self.let_go(3);
        // ESTABLISHED with a full send buffer and a closed window.
        self.peers[4].window = 0;
        self.say(4, ACK);
        write(self.world.server.stack(), self.held[1], &[7; 4096]);
        // SYN-RECEIVED, and SYN-SENT.
        let mut half = Peer::new(1007, PORT);
        half.say(&mut self.world.server, self.world.now, SYN, &[]);
        self.peers.push(half);
        self.connect();
        self.work();
    }

    fn operate(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.u8()? % 16 {
            0 => self.arrive(packets::raw(input)?),
            1 => self.arrive(packets::ethernet(input)?),
            2 => self.arrive(packets::ipv4(input)?),
            3 => self.arrive(packets::datagram(input)?),
            4 => self.arrive(packets::message(input)?),
            5 => self.echo(input)?,
            6 => self.wait(Duration::from_millis(u64::from(input.u16()?))),
            7 => self.program(input)?,
            _ => self.segment(input)?,
        }
        Some(())
    }

    /// A segment of one of the peers, near to what it should be.
    fn segment(&mut self, input: &mut Input<'_>) -> Option<()> {
        let index = usize::from(input.u8()?) % self.peers.len();
        let shape = input.u8()?;
        let peer = &mut self.peers[index];
        let mut segment = peer.segment(ACK, &[]);
        if shape & 1 != 0 {
            segment.flags = input.u8()?;
        }
        if shape & 2 != 0 {
            segment.sequence = segment.sequence.wrapping_add_signed(near(input)?);
        }
        if shape & 4 != 0 {
            segment.acknowledged = segment.acknowledged.wrapping_add_signed(near(input)?);
        }
        if shape & 8 != 0 {
            segment.window = input.u16()?;
        }
        if shape & 16 != 0 {
            let length = usize::from(input.u8()?) % 41;
            segment.options = packets::bytes(input, length);
        }
        if shape & 32 != 0 {
            segment.payload = vec![7; usize::from(input.u16()?) % 1461];
        }
        if shape & 64 != 0 {
            segment.from.set_port(input.u16()?);
        } else if segment.sequence == peer.sequence {
            peer.sequence = peer.sequence.wrapping_add(segment.span());
        }
        self.arrive(segment.frame());
        Some(())
    }

    /// What the host has sent comes back, changed.
    fn echo(&mut self, input: &mut Input<'_>) -> Option<()> {
        let mut frame = self.last.clone();
        for _ in 0..input.u8()? % 4 {
            let place = usize::from(input.u16()?) % frame.len().max(1);
            if let Some(byte) = frame.get_mut(place) {
                *byte = input.u8()?;
            }
        }
        self.arrive(frame);
        Some(())
    }

    /// Something that a program does.
    fn program(&mut self, input: &mut Input<'_>) -> Option<()> {
        let operation = input.u8()?;
        let index = usize::from(input.u8()?) % self.held.len().max(1);
        let Some(&id) = self.held.get(index) else {
            self.accept();
            return Some(());
        };
        let stack = self.world.server.stack();
        match operation % 8 {
            0 => self.accept(),
            1 => drop(read(stack, id)),
            2 => drop(write(stack, id, &[1; 600])),
            3 => drop(stack.close_sending(id)),
            4 => self.let_go(index),
            5 if self.held.len() < 12 => self.connect(),
            6 => drop(stack.with_datagram(self.datagram, |datagram| datagram.receive(|_, _| ()))),
            _ => {}
        }
        self.work();
        Some(())
    }

    fn accept(&mut self) {
        while let Ok(Some((id, _))) = self.world.server.stack().accept(self.listener) {
            self.held.push(id);
        }
    }

    fn connect(&mut self) {
        let port = 99 + u16::try_from(self.peers.len()).expect("few");
        let Ok(id) = self.world.server.stack().connect(SocketAddrV4::new(PEERS, port)) else { return };
        let mut peer = Peer::new(port, PORT);
        let tuple = self.world.server.stack().with_connection(id, |connection| connection.tuple);
        let Ok(SocketAddr::V4(own)) = tuple.map(|tuple| tuple.own_end()) else { return };
        peer.other = own;
        self.held.push(id);
        self.peers.push(peer);
    }

    /// The program lets go of a connection.
    fn let_go(&mut self, index: usize) {
        let id = self.held.swap_remove(index);
        self.world.server.stack().abandon(id);
        self.work();
    }

    fn assert_no_refusal(&mut self) {
        for id in &self.held {
            let is_refused = self.world.server.stack().connected(*id) == Err(Error::Refused);
            assert!(!is_refused, "the planted defect was reached");
        }
    }

    fn say(&mut self, peer: usize, flags: u8) {
        self.peers[peer].say(&mut self.world.server, self.world.now, flags, &[]);
    }

    fn arrive(&mut self, frame: Vec<u8>) {
        let sent = exchange(&mut self.world.server, self.world.now, frame);
        self.note(sent);
    }

    fn work(&mut self) {
        let sent = work(&mut self.world.server, self.world.now);
        self.note(sent);
    }

    fn note(&mut self, sent: Vec<Vec<u8>>) {
        for frame in sent {
            for peer in &mut self.peers {
                peer.hear(&frame);
                // Nobody looks at them; they must not grow.
                peer.heard.clear();
            }
            self.last = frame;
        }
    }

    fn wait(&mut self, duration: Duration) {
        let end = self.world.now + duration;
        while self.world.skip_to_server(end) {
            self.work();
        }
        self.world.now = end;
        self.work();
    }

    /// The program lets go of all; then nothing may be left, and a client must be served.
    fn end(mut self) {
        self.accept();
        while !self.held.is_empty() {
            self.let_go(0);
        }
        self.wait(PATIENCE);
        self.accept();
        while !self.held.is_empty() {
            self.let_go(0);
        }
        self.wait(PATIENCE);
        let stack = self.world.server.stack();
        stack.audit();
        assert_eq!(stack.connection_count(), 0, "every connection goes");
        assert!(stack.memory().into_iter().all(|entries| entries <= MOST_ENTRIES), "{:?}", stack.memory());
        self.serve();
    }

    fn serve(&mut self) {
        let Self { world, listener, .. } = self;
        let client =
            world.client.stack().connect(SocketAddrV4::new(SERVER, PORT)).expect("it has a port left");
        let mut server = None;
        world.run_until(Duration::from_secs(30), |world| {
            server = world.server.stack().accept(*listener).expect("it still listens");
            server.is_some()
        });
        let (server, _) = server.expect("the loop ends with it");
        write(world.server.stack(), server, b"served");
        let mut answer = Received::Nothing;
        world.run_until(Duration::from_secs(30), |world| {
            answer = read(world.client.stack(), client);
            answer != Received::Nothing
        });
        assert_eq!(answer, Received::Bytes(b"served".to_vec()));
    }
}

/// A distance, mostly small.
fn near(input: &mut Input<'_>) -> Option<i32> {
    let distance = input.u32()?.cast_signed();
    Some(match distance & 3 {
        0 => distance,
        1 => distance >> 16,
        _ => distance >> 24,
    })
}

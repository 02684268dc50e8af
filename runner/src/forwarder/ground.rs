//! The forwarder's thread: waits for sockets and lets smoltcp and the connections work in turn.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use stock_smoltcp as smoltcp;

use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};

use super::datagrams::Datagrams;
use super::stream::{State, Stream};
use super::wire::Wire;
use super::{HostSocket, Listener, Place};

/// The gateway's hardware address, as on QEMU's user network.
const GATEWAY: EthernetAddress = EthernetAddress([0x52, 0x55, 0x0a, 0x00, 0x02, 0x02]);
/// Ports of the gateway, taken in turn.
const FIRST_PORT: u16 = 1024;
/// Connections at a time; more wait at the host.
const STREAMS: usize = 4096;
/// Connections that are accepted in one turn.
const TURN: usize = 64;

/// Everything the thread owns.
pub(super) struct Ground {
    wire: Wire,
    door: UnixStream,
    interface: Interface,
    sockets: SocketSet<'static>,
    doors: Vec<(TcpListener, IpEndpoint)>,
    streams: Vec<Stream>,
    datagrams: Vec<Datagrams>,
    ports: Ports,
    /// A client may be waiting to be accepted.
    is_awaited: bool,
}

/// Gives out ports in turn. One comes round after some sixty thousand connections, when its last one is long over.
struct Ports(u16);

impl Ports {
    fn next(&mut self) -> u16 {
        self.0 = self.0.checked_add(1).unwrap_or(FIRST_PORT);
        self.0
    }
}

impl Ground {
    pub(super) fn new(
        wire: OwnedFd,
        door: UnixStream,
        listeners: Vec<Listener>,
        place: Place,
    ) -> io::Result<Self> {
        let mut wire = Wire::new(wire).refusing_as(GATEWAY, place.gateway);
        let mut config = Config::new(GATEWAY.into());
        config.random_seed = RandomState::new().hash_one(0);
        let mut interface = Interface::new(config, &mut wire, Instant::now());
        let own = IpCidr::new(IpAddress::Ipv4(place.gateway), place.guest.prefix);
        let mut is_taken = false;
        interface.update_ip_addrs(|addresses| is_taken = addresses.push(own).is_ok());
        if !is_taken {
            return Err(io::Error::other("the gateway has room for no address"));
        }
        let (mut doors, mut datagrams) = (Vec::new(), Vec::new());
        for Listener { socket, guest_port } in listeners {
            let guest = IpEndpoint::new(IpAddress::Ipv4(place.guest.ip), guest_port);
            match socket {
                HostSocket::Tcp(listener) => doors.push((listener, guest)),
                HostSocket::Udp(socket) => datagrams.push(Datagrams::new(socket, guest)),
            }
        }
        let sockets = SocketSet::new(Vec::new());
        let ports = Ports(FIRST_PORT);
        Ok(Self {
            wire,
            door,
            interface,
            sockets,
            doors,
            streams: Vec::new(),
            datagrams,
            ports,
            is_awaited: true,
        })
    }

    /// Works until the guest has gone or the door is closed.
    pub(super) fn run(mut self) {
        loop {
            self.turn();
            if self.wire.is_closed() || self.wait() == Wish::End {
                return;
            }
        }
    }

    fn turn(&mut self) {
        self.wire.begin_turn();
        self.interface.poll(Instant::now(), &mut self.wire, &mut self.sockets);
        if self.is_awaited {
            self.accept();
        }
        let Self { streams, sockets, datagrams, ports, .. } = self;
        streams.retain_mut(|stream| stream.carry(sockets) == State::Open);
        datagrams.iter_mut().for_each(|port| port.carry(sockets, || ports.next()));
        // Nothing more is taken in here: it would wait in smoltcp's buffers, where nobody waits for it.
        let Self { interface, wire, sockets, .. } = self;
        while interface.poll_egress(Instant::now(), wire, sockets) == PollResult::SocketStateChanged {}
        self.streams.retain(|stream| stream.leave(&mut self.sockets) == State::Open);
    }

    fn accept(&mut self) {
        for (door, guest) in &self.doors {
            for _ in 0..TURN {
                if self.streams.len() >= STREAMS {
                    return;
                }
                let Ok((client, _)) = door.accept() else { break };
                let port = self.ports.next();
                let context = self.interface.context();
                // A client that cannot be served is closed.
                self.streams.extend(Stream::open(client, &mut self.sockets, context, *guest, port));
            }
        }
    }

    fn wait(&mut self) -> Wish {
        let timeout = match self.interface.poll_delay(Instant::now(), &self.sockets) {
            _ if self.wire.has_more() => Some(Timespec::default()),
            // What smoltcp wants to send at once and the guest does not take is not sent by hurrying.
            _ if self.wire.is_full() => None,
            delay => {
                delay.map(|delay| Timespec::try_from(core::time::Duration::from(delay)).unwrap_or_default())
            }
        };
        let out = if self.wire.is_full() { PollFlags::OUT } else { PollFlags::empty() };
        let doors = if self.streams.len() < STREAMS { &self.doors[..] } else { &[] };
        let mut waited: Vec<PollFd<'_>> =
            vec![fd(&self.door, PollFlags::IN), fd(&self.wire, PollFlags::IN | out)];
        waited.extend(doors.iter().map(|(door, _)| fd(door, PollFlags::IN)));
        waited.extend(self.datagrams.iter().map(|port| fd(port.host(), PollFlags::IN)));
        let first = waited.len();
        // One that nobody wants anything of would be reported for being closed, over and over.
        let wanted = self.streams.iter().enumerate();
        let wanted = wanted.map(|(index, stream)| (index, stream.host(), stream.interest(&self.sockets)));
        let wanted = wanted.filter(|(_, _, interest)| !interest.is_empty());
        let indices: Vec<usize> = wanted.clone().map(|(index, _, _)| index).collect();
        waited.extend(wanted.map(|(_, host, interest)| fd(host, interest)));
        match poll(&mut waited, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) if waited[0].revents().is_empty() => {}
            _ => return Wish::End,
        }
        self.is_awaited = waited[2..2 + doors.len()].iter().any(has_news);
        let news: Vec<bool> = waited[first..].iter().map(has_news).collect();
        indices.into_iter().zip(news).filter(|(_, has_news)| *has_news).for_each(|(index, _)| {
            self.streams[index].note_readable();
        });
        Wish::Work
    }
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Work,
    End,
}

fn fd(socket: &impl AsFd, interest: PollFlags) -> PollFd<'_> {
    let socket: BorrowedFd<'_> = socket.as_fd();
    PollFd::from_borrowed_fd(socket, interest)
}

/// Something has come, or the other side has gone.
fn has_news(waited: &PollFd<'_>) -> bool {
    waited.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
}

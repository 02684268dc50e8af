//! The tables of one shard: which socket a frame is for, which sockets may have something to send, whose time has
//! come.
//!
//! No frame and no timer touches more than the one connection that it belongs to: connections are found by their
//! two ends in a hash table, ports in tables in order, output is asked only of those in the dirty list, and deadlines
//! stand in lists, which are tidied as a whole when most of their entries mean nothing. The time is a parameter and
//! devices are a trait, so a test runs the same code on a clock of its own.

#[cfg(any(test, fuzzing))]
mod audit;
mod connections;
mod datagrams;
mod egress;
mod icmp;
mod listening;

pub(crate) use connections::Progress;

use self::datagrams::HandToSocket;
use super::autoconf::Autoconf;
use super::checksum;
use super::config::{Settings, SettingsV6};
use super::connection::{Connection, ConnectionId};
use super::datagram::{Datagram, Sender};
use super::deadlines::Deadlines;
use super::device::{Capabilities, Transmitter, Verdict};
use super::dhcp::{Change, Dhcp};
use super::dns::Dns;
use super::frame::{self, Class, Key, Tuple};
use super::hash::Keys;
use super::link::{AddressesV6, Link, Route};
use super::listener::Listener;
use super::pool::{BufferPlan, Pool};
use super::ports::Ports;
use super::reassembly::Reassembly;
use super::trouble::Report;
use super::tuning::Tuning;
use crate::readiness::{Readiness, Token, Waiters};
use crate::slots::Slots;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use hashbrown::HashMap;
use smoltcp::iface::SocketSet;
use smoltcp::time::Instant;
use smoltcp::wire::Ipv6Cidr;

/// Where the range of ephemeral ports starts (RFC 6335, 6); it ends with the last port.
const FIRST_EPHEMERAL_PORT: u16 = 49152;

/// The tables.
#[derive(Debug)]
pub(crate) struct Stack {
    link: Link,
    /// The set for frames that no socket may see: the interface answers them by itself.
    nobody: SocketSet<'static>,
    connections: Slots<Box<Connection>>,
    tuples: HashMap<Key, ConnectionId, Keys>,
    listeners: Slots<Listener>,
    listening: Ports<Listener>,
    datagrams: Slots<Datagram>,
    datagram_ports: Ports<Datagram>,
    /// What hands datagrams to them, from the first one on: nothing else names it, so that programs without UDP do not
    /// link it.
    hand_to_socket: Option<HandToSocket>,
    /// What sends datagrams, from the first one on.
    sender: Option<Sender>,
    reassembly: Reassembly,
    dhcp: Option<Dhcp>,
    autoconf: Option<Autoconf>,
    /// When it wants to be asked.
    autoconf_deadline: Option<Instant>,
    /// Own IPv6 addresses that nobody was asked about yet.
    unclaimed: Vec<Ipv6Cidr>,
    pub(crate) dns: Dns,
    /// The name servers, as each version of the protocol tells them.
    servers: Vec<IpAddr>,
    servers_v6: Vec<IpAddr>,
    /// Connections that may have something to send.
    dirty: Vec<ConnectionId>,
    /// The list that `dirty` is exchanged with while it is worked through.
    dirty_spare: Vec<ConnectionId>,
    /// Connections that wait for an Ethernet address.
    unresolved: VecDeque<ConnectionId>,
    /// Connections in `TIME_WAIT`, oldest first; some may be gone.
    lingering: VecDeque<ConnectionId>,
    lingering_count: usize,
    timers: Deadlines,
    pool: Pool,
    /// Those who wait for an address.
    configured: Waiters,
    woken: Vec<Token>,
    next_port: u16,
    device: DeviceRoom,
}

/// Whether the device took all that there was to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DeviceRoom {
    Enough,
    Full,
}

impl Stack {
    /// Makes the tables for one device. `seed` must differ from boot to boot and be hard to guess.
    pub(crate) fn new(capabilities: Capabilities, plan: BufferPlan, seed: u64, now: Instant) -> Self {
        let span = u64::from(u16::MAX - FIRST_EPHEMERAL_PORT);
        let offset =
            u16::try_from(seed.rotate_left(32) % span).expect("a remainder is smaller than its divisor");
        Self {
            link: Link::new(capabilities, seed, now),
            nobody: SocketSet::new(Vec::new()),
            connections: Slots::new(),
            tuples: HashMap::with_hasher(Keys::new(seed, seed.rotate_left(32))),
            listeners: Slots::new(),
            listening: Ports::new(),
            datagrams: Slots::new(),
            datagram_ports: Ports::new(),
            hand_to_socket: None,
            sender: None,
            reassembly: Reassembly::default(),
            dhcp: None,
            autoconf: None,
            autoconf_deadline: None,
            unclaimed: Vec::new(),
            dns: Dns::new(),
            servers: Vec::new(),
            servers_v6: Vec::new(),
            dirty: Vec::new(),
            dirty_spare: Vec::new(),
            unresolved: VecDeque::new(),
            lingering: VecDeque::new(),
            lingering_count: 0,
            timers: Deadlines::new(),
            pool: Pool::new(plan),
            configured: Waiters::new(),
            woken: Vec::new(),
            next_port: FIRST_EPHEMERAL_PORT + offset,
            device: DeviceRoom::Enough,
        }
    }

    /// Sets the keys of the table of connections, before there are any.
    pub(crate) fn set_keys(&mut self, keys: Keys) {
        debug_assert!(self.tuples.is_empty(), "what is in the table would not be found again");
        self.tuples = HashMap::with_hasher(keys);
    }

    /// Uses `tuning` for the connections from now on.
    pub(crate) fn tune(&mut self, tuning: Tuning) {
        self.pool.tuning = tuning;
    }

    /// Starts to ask for an address by DHCP.
    pub(crate) fn start_dhcp(&mut self, now: Instant) {
        self.dhcp = Some(Dhcp::new(now));
    }

    /// Uses `settings`, or none.
    pub(crate) fn configure(&mut self, settings: Option<&Settings>) {
        self.configured.wake(Readiness::READABLE, &mut self.woken);
        let address = settings.map(|settings| settings.address);
        self.link.set_address(address, settings.and_then(|settings| settings.gateway));
        self.servers = settings.map_or_else(Vec::new, |settings| settings.servers.clone());
        self.set_servers();
    }

    /// Starts to ask the routers for IPv6 addresses. The one for the wire alone is there at once.
    pub(crate) fn start_v6(&mut self, now: Instant) {
        self.autoconf = Some(Autoconf::new(self.link.hardware(), now));
        self.adopt_v6();
    }

    /// Uses given settings of IPv6.
    pub(crate) fn give_v6(&mut self, settings: SettingsV6, now: Instant) {
        let addresses = AddressesV6 { own: [settings.address].into(), gateway: settings.gateway };
        self.autoconf = Some(Autoconf::given(self.link.hardware(), &addresses, settings.servers, now));
        self.adopt_v6();
    }

    /// Tells whether a socket can have or talk to `address` as far as the own addresses go.
    pub(crate) fn is_ready_for(&self, address: IpAddr) -> bool {
        let (has_v4, v6) = (self.link.address().is_some(), self.link.v6());
        match address {
            IpAddr::V4(_) => has_v4,
            IpAddr::V6(address) if address.is_unspecified() => has_v4 || v6.has_wide(),
            IpAddr::V6(address) if address.is_unicast_link_local() || address.is_multicast() => {
                !v6.own.is_empty()
            }
            IpAddr::V6(_) => v6.has_wide(),
        }
    }

    /// Leaves `token` until the settings change.
    pub(crate) fn wait_for_settings(&mut self, token: Token) {
        self.configured.add(Readiness::READABLE, token);
    }

    /// Returns the interface.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Returns the resolver, and the interface that it asks for.
    pub(crate) fn resolver(&mut self) -> (&mut Dns, &mut Link) {
        (&mut self.dns, &mut self.link)
    }

    /// Moves the tokens of those whose wait is over to `into`.
    pub(crate) fn take_woken(&mut self, into: &mut Vec<Token>) {
        into.append(&mut self.woken);
    }

    /// Returns how many connections there are, waiting and lingering ones included.
    pub(crate) fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Passes a frame that came in to the socket that it is for.
    pub(crate) fn deliver(
        &mut self,
        now: Instant,
        frame: &[u8],
        verdict: Verdict,
        transmitter: &mut impl Transmitter,
    ) {
        if verdict == Verdict::Right || checksum::is_right(frame) {
            self.dispatch(now, frame, transmitter, Route::Wire);
        }
    }

    /// Passes the next frame that we sent to ourselves to the socket that it is for; `false` if there is none.
    pub(crate) fn deliver_local(&mut self, now: Instant, transmitter: &mut impl Transmitter) -> bool {
        let Some(frame) = self.link.pop_local() else { return false };
        self.dispatch(now, &frame, transmitter, Route::Local);
        true
    }

    fn dispatch(&mut self, now: Instant, frame: &[u8], transmitter: &mut impl Transmitter, route: Route) {
        if route == Route::Wire && self.take_usual_segment(now, frame, transmitter) {
            return;
        }
        match frame::classify(frame) {
            Class::Tcp { tuple, opens } => {
                self.deliver_segment(now, frame, tuple, opens, transmitter, route);
            }
            Class::Udp(tuple) if !is_foreign_loopback(tuple, route) && !is_disguised(tuple.remote) => {
                self.deliver_datagram(now, frame, tuple, transmitter, route);
            }
            Class::Arp => {
                let neighbor = frame::asking_address(frame).map(IpAddr::from);
                let known = self.link.hardware_of(now, neighbor);
                self.answer(now, frame, transmitter, route);
                self.compare_neighbor(now, neighbor, known, transmitter);
            }
            Class::Icmpv6 => self.deliver_icmpv6(now, frame, transmitter),
            Class::Icmp => match Report::read_v4(frame) {
                Some(report) => self.hear_report(report),
                None => self.answer(now, frame, transmitter, route),
            },
            Class::Other => self.answer(now, frame, transmitter, route),
            Class::Fragment | Class::Extended => self.deliver_unusual(now, frame, transmitter, route),
            Class::Udp(_) => {}
        }
    }

    /// Puts pieces together and takes extension headers off, and passes on what comes of it. Nothing that still has
    /// either is passed on, so it ends here.
    #[inline(never)]
    fn deliver_unusual(
        &mut self,
        now: Instant,
        frame: &[u8],
        transmitter: &mut impl Transmitter,
        route: Route,
    ) {
        let plain = match frame::classify(frame) {
            Class::Fragment => self.reassembly.take_v4(now, frame),
            _ => self.reassembly.take_v6(now, frame),
        };
        if let Some(plain) = plain
            && checksum::is_right(&plain)
            && !matches!(frame::classify(&plain), Class::Fragment | Class::Extended)
        {
            self.dispatch(now, &plain, transmitter, route);
        }
    }

    /// Lets the interface alone see a frame: it answers ARP, echo requests and what is for no socket.
    fn answer(&mut self, now: Instant, frame: &[u8], transmitter: &mut impl Transmitter, route: Route) {
        self.link.answer(now, frame, &mut self.nobody, transmitter, route);
    }

    /// Tells whether a segment between these ends may have come this way (RFC 1122, 3.2.1.3). Those of a connection
    /// come the way that theirs go.
    fn is_proper(&self, tuple: Tuple, route: Route) -> bool {
        self.link.is_own(tuple.local)
            && (route == Route::Local || !self.link.is_own(tuple.remote))
            && !is_disguised(tuple.remote)
    }

    pub(super) fn set_servers(&mut self) {
        self.dns.set_servers(self.servers.iter().chain(&self.servers_v6).copied());
    }

    /// Runs the services of the interface itself.
    fn poll_services(&mut self, now: Instant, transmitter: &mut impl Transmitter) {
        let change = match &mut self.dhcp {
            Some(dhcp) => dhcp.poll(now, &mut self.link, transmitter),
            None => None,
        };
        match change {
            Some(Change::Configured(settings)) => self.configure(settings.checked().as_ref()),
            Some(Change::Lost) => self.configure(None),
            None => {}
        }
        self.link.send_pieces(transmitter);
        self.poll_v6(now, transmitter);
        self.dns.poll(now, &mut self.link, transmitter, &mut self.woken);
        if let Some(sender) = &mut self.sender
            && sender.deadline().is_some_and(|deadline| deadline <= now)
        {
            sender.retry(now, &mut self.link, transmitter);
        }
    }
}

fn is_foreign_loopback(tuple: Tuple, route: Route) -> bool {
    route == Route::Wire && (tuple.remote.is_loopback() || tuple.local.is_loopback())
}

/// Returns the ephemeral port after `port`.
fn next_ephemeral(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT)
}

/// Tells whether an IPv4 address pretends to be of IPv6: none may on a wire (RFC 4291, 2.5.5.2), and programs would take
/// it for the former.
fn is_disguised(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

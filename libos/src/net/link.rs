//! The interface: one smoltcp `Interface` that sees one frame and one socket set at a time.
//!
//! smoltcp offers every frame to every socket and asks every socket for output. Here it is handed a device that
//! holds exactly one frame and a set that holds exactly one socket, so its work does not grow with the number of
//! connections. Most TCP segments pass it by (`line`). ARP and the ICMP of IPv4 are answered by the interface itself,
//! whatever the set; that of IPv6, with its neighbours, is ours (`neighbors`).
//!
//! Traffic to an own address never reaches the wire: what the interface addresses to its own Ethernet address goes to
//! a queue that is read back like a device. Only sockets that talk to an own address pay for the look.

mod line;
mod neighbors;
mod one_frame;
mod pieces;
mod segment;
mod way;

pub(crate) use line::Line;

use super::device::{Capabilities, Checksums, Outlet};
use super::frame::ETHERNET_HEADER;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use one_frame::{Asked, Description, OneFrame, Origin, device_capabilities};
use pieces::Pieces;
use smoltcp::iface::{Config, Context, Interface, PollResult, Route as DefaultRoute, SocketSet};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Cidr, Ipv6Cidr};
use way::Way;

/// Most frames under way to ourselves; more are dropped, as on any full wire.
const LOCAL_FRAMES: usize = 256;
/// The addresses that every host has (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
const LOOPBACK: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::LOCALHOST, 8);
const LOOPBACK_V6: Ipv6Cidr = Ipv6Cidr::new(Ipv6Addr::LOCALHOST, 128);
/// Most own IPv6 addresses beside that: with the three others the interface is full.
pub(crate) const MOST_V6_ADDRESSES: usize = 5;

/// The interface and the queue of what it sends to itself.
pub(crate) struct Link {
    interface: Interface,
    capabilities: DeviceCapabilities,
    address: Option<Ipv4Cidr>,
    gateway: Option<Ipv4Addr>,
    v6: AddressesV6,
    local: Local,
    /// What the device leaves to do for a segment that is sent.
    checksums: Checksums,
    /// Where the last datagram went.
    way: Option<Way>,
    /// Changes when the table of neighbours may have changed: paths of connections made before are not used any more.
    generation: u32,
}

/// What IPv6 has instead of the one address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct AddressesV6 {
    /// The own addresses and the lengths of their networks' prefixes; those that do not reach beyond the wire last.
    pub(crate) own: Vec<Ipv6Cidr>,
    /// The router to everywhere else.
    pub(crate) gateway: Option<Ipv6Addr>,
}

/// Where the frames of a socket go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// To the device.
    Wire,
    /// To ourselves, as far as they are for us.
    Local,
}

/// What came of asking a socket for a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Egress {
    /// One frame is on its way; there may be more.
    Sent,
    /// The socket has nothing to send now.
    Nothing,
    /// The Ethernet address of the next hop is not known yet; it is being asked for.
    Unresolved,
    /// The device has no room.
    Full,
}

struct Local {
    hardware: [u8; 6],
    address: Option<Ipv4Addr>,
    addresses_v6: Vec<Ipv6Addr>,
    frames: VecDeque<Vec<u8>>,
    pieces: Pieces,
}

impl Link {
    /// Starts an interface without an address. `seed` must differ from boot to boot and be hard to guess: sequence
    /// numbers come from it.
    pub(crate) fn new(capabilities: Capabilities, seed: u64, now: Instant) -> Self {
        let hardware = HardwareAddress::Ethernet(EthernetAddress(capabilities.address));
        let mut config = Config::new(hardware);
        config.random_seed = seed;
        let given = device_capabilities(capabilities);
        let mut nothing = Description::new(given.clone());
        let mut link = Self {
            interface: Interface::new(config, &mut nothing, now),
            capabilities: given,
            address: None,
            gateway: None,
            v6: AddressesV6::default(),
            local: Local {
                hardware: capabilities.address,
                address: None,
                addresses_v6: Vec::new(),
                frames: VecDeque::new(),
                pieces: Pieces::new(seed),
            },
            checksums: capabilities.checksums,
            way: None,
            generation: 0,
        };
        link.install();
        link
    }

    /// Returns the own address and the length of its network prefix.
    pub(crate) fn address(&self) -> Option<Ipv4Cidr> {
        self.address
    }

    /// Returns the own Ethernet address.
    pub(crate) fn hardware(&self) -> [u8; 6] {
        self.local.hardware
    }

    /// Returns the own IPv6 addresses.
    pub(crate) fn v6(&self) -> &AddressesV6 {
        &self.v6
    }

    /// Returns the address that every interface has on its wire.
    pub(crate) fn link_local(&self) -> Ipv6Cidr {
        Ipv6Cidr::new(address_in([0xfe, 0x80, 0, 0, 0, 0, 0, 0], self.local.hardware), 64)
    }

    /// Sets or takes away the own address and the gateway.
    pub(crate) fn set_address(&mut self, address: Option<Ipv4Cidr>, gateway: Option<Ipv4Addr>) {
        self.address = address;
        self.gateway = gateway;
        self.local.address = address.map(|own| own.address());
        self.install();
    }

    /// Sets the own IPv6 addresses, of more than [`MOST_V6_ADDRESSES`] the first ones.
    pub(crate) fn set_v6(&mut self, mut addresses: AddressesV6) {
        addresses.own.truncate(MOST_V6_ADDRESSES);
        self.local.addresses_v6 = addresses.own.iter().map(|own| own.address()).collect();
        self.v6 = addresses;
        self.install();
    }

    /// Tells whether `address` is one of ours.
    pub(crate) fn is_own(&self, address: IpAddr) -> bool {
        self.local.is_own(address)
    }

    /// Returns where frames for `remote` go, or `None` if there is no way to it.
    pub(crate) fn route(&self, remote: impl Into<IpAddr>) -> Option<Route> {
        let remote = remote.into();
        if self.is_own(remote) {
            return Some(Route::Local);
        }
        let is_reachable = match remote {
            IpAddr::V4(remote) => self.reaches_v4(remote),
            IpAddr::V6(remote) => self.reaches_v6(remote),
        };
        is_reachable.then_some(Route::Wire)
    }

    /// Returns the own address that `remote` is shown.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        if remote.is_unspecified() {
            return None;
        }
        self.interface.get_source_address(&IpAddress::from(remote)).map(IpAddr::from)
    }

    /// Tells whether the Ethernet address of the next hop to `remote` is known.
    pub(crate) fn has_neighbor(&self, remote: IpAddr) -> bool {
        self.interface.has_neighbor(&IpAddress::from(remote))
    }

    /// Returns the Ethernet address of the next hop to `remote`, if it is known.
    #[inline(never)]
    pub(crate) fn hardware_of(&self, now: Instant, remote: Option<IpAddr>) -> Option<HardwareAddress> {
        self.interface.next_hop(now, &IpAddress::from(remote?))
    }

    /// Looks the neighbours of all connections up again: one has changed.
    pub(crate) fn forget_paths(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }

    /// Returns a number that changes when a neighbour has changed.
    #[cfg(test)]
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the length of the longest packet that the wire carries.
    pub(crate) fn mtu(&self) -> usize {
        self.capabilities.max_transmission_unit - ETHERNET_HEADER
    }

    /// Returns what some socket operations ask for.
    pub(crate) fn context(&mut self) -> &mut Context {
        self.interface.context()
    }

    /// Hands `frame` to the stack, with `sockets` as the only ones that may take it. Replies of the stack itself go
    /// out at once.
    pub(crate) fn ingress(
        &mut self,
        now: Instant,
        frame: &[u8],
        sockets: &mut SocketSet<'_>,
        transmitter: &mut dyn Outlet,
        route: Route,
    ) {
        let mut device = self.device(Some(frame), transmitter, route, Origin::Reply);
        let _ = device.interface.poll_ingress_single(now, &mut device.frames, sockets);
    }

    /// Lets the interface alone see a frame, with `nobody` as the set without a socket: it answers what is for none.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        frame: &[u8],
        nobody: &mut SocketSet<'_>,
        transmitter: &mut dyn Outlet,
        route: Route,
    ) {
        self.ingress(now, frame, nobody, transmitter, route);
        self.solicit_wanted(transmitter);
    }

    /// Asks the one socket in `sockets`, which is not one of TCP, for a frame.
    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        transmitter: &mut dyn Outlet,
        route: Route,
    ) -> Egress {
        self.egress(now, sockets, transmitter, route, Origin::Datagram)
    }

    /// Returns when the socket in `sockets` wants to be asked for a frame.
    pub(crate) fn deadline(&mut self, now: Instant, sockets: &SocketSet<'_>) -> Option<Instant> {
        self.interface.poll_at(now, sockets)
    }

    /// Takes the next frame that we sent to ourselves.
    pub(crate) fn pop_local(&mut self) -> Option<Vec<u8>> {
        self.local.frames.pop_front()
    }

    pub(crate) fn has_local(&self) -> bool {
        !self.local.frames.is_empty()
    }
}

impl Link {
    fn reaches_v4(&self, remote: Ipv4Addr) -> bool {
        self.address
            .is_some_and(|own| own.contains_addr(&remote) || remote.is_broadcast() || self.gateway.is_some())
    }

    fn reaches_v6(&self, remote: Ipv6Addr) -> bool {
        let is_here = self.v6.own.iter().any(|own| own.contains_addr(&remote));
        let is_beyond = self.v6.gateway.is_some() && self.v6.has_wide();
        is_here || is_beyond || remote.is_multicast() && !self.v6.own.is_empty()
    }

    /// Tells the interface what was set. It holds as many addresses and routes as are let in.
    #[inline(never)]
    fn install(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        let Self { interface, address, v6, .. } = self;
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // The first one is the source for whatever lies beyond the gateway.
            let _ = address.is_none_or(|own| addresses.push(IpCidr::Ipv4(own)).is_ok());
            let _ = addresses.push(IpCidr::Ipv4(LOOPBACK));
            for own in &v6.own {
                let _ = addresses.push(IpCidr::Ipv6(*own));
            }
            let _ = addresses.push(IpCidr::Ipv6(LOOPBACK_V6));
        });
        let gateways = [self.gateway.map(IpAddress::Ipv4), v6.gateway.map(IpAddress::Ipv6)];
        interface.routes_mut().update(|routes| {
            routes.clear();
            for gateway in gateways.into_iter().flatten() {
                let cidr = match gateway {
                    IpAddress::Ipv4(_) => IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Addr::UNSPECIFIED, 0)),
                    IpAddress::Ipv6(_) => IpCidr::Ipv6(Ipv6Cidr::new(Ipv6Addr::UNSPECIFIED, 0)),
                };
                let _ = routes.push(DefaultRoute {
                    cidr,
                    via_router: gateway,
                    preferred_until: None,
                    expires_at: None,
                });
            }
        });
    }

    fn egress(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        transmitter: &mut dyn Outlet,
        route: Route,
        origin: Origin,
    ) -> Egress {
        let mut device = self.device(None, transmitter, route, origin);
        let result = device.interface.poll_egress(now, &mut device.frames, sockets);
        match (result, device.frames.asked()) {
            (PollResult::SocketStateChanged, _) => Egress::Sent,
            (PollResult::None, Asked::ButFull) => Egress::Full,
            // A place for a frame was asked for and then not used for one: the neighbour is missing.
            (PollResult::None, Asked::Yes) => {
                self.solicit_wanted(transmitter);
                Egress::Unresolved
            }
            (PollResult::None, Asked::No) => Egress::Nothing,
        }
    }

    /// Returns the interface and the device for one call of it.
    fn device<'a>(
        &'a mut self,
        frame: Option<&'a [u8]>,
        transmitter: &'a mut dyn Outlet,
        route: Route,
        origin: Origin,
    ) -> Attached<'a> {
        let local = if route == Route::Local { Some(&mut self.local) } else { None };
        let frames = OneFrame::new(frame, transmitter, local, &self.capabilities, origin);
        Attached { interface: &mut self.interface, frames }
    }
}

struct Attached<'a> {
    interface: &'a mut Interface,
    frames: OneFrame<'a>,
}

impl Local {
    fn is_own(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.address == Some(address) || address.is_loopback(),
            IpAddr::V6(address) => self.addresses_v6.contains(&address) || address.is_loopback(),
        }
    }

    /// Takes a frame that is for us.
    fn take(&mut self, frame: Vec<u8>) {
        if self.frames.len() < LOCAL_FRAMES {
            self.frames.push_back(frame);
        }
    }

    fn is_for_us(&self, frame: &[u8]) -> bool {
        frame.starts_with(&self.hardware)
    }
}

impl AddressesV6 {
    /// Tells whether an own address reaches beyond the wire.
    pub(crate) fn has_wide(&self) -> bool {
        self.own.iter().any(|own| !own.address().is_unicast_link_local())
    }
}

/// Returns the address of an interface in a network of 64 bits (RFC 4291, appendix A).
pub(crate) fn address_in(network: [u8; 8], hardware: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = hardware;
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&network);
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from(octets)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).field("gateway", &self.gateway).finish()
    }
}

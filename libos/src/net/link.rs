//! The interface: one smoltcp `Interface` that sees one frame and one socket set at a time.
//!
//! smoltcp offers every frame to every socket and asks every socket for output. Here it is handed a device that
//! holds exactly one frame and a set that holds exactly one socket, so its work does not grow with the number of
//! connections. ARP and ICMP are answered by the interface itself, whatever the set.
//!
//! Traffic to an own address never reaches the wire: what the interface addresses to its own Ethernet address, and
//! its ARP requests for its own addresses, go to a queue that is read back like a device. Only sockets that talk
//! to an own address pay for the look.

mod line;
mod one_frame;
mod segment;

pub(crate) use line::Line;

use super::device::{Capabilities, Checksums, Finish, Transmitter};
use super::frame;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use one_frame::{Asked, Description, OneFrame, Origin, device_capabilities};
use smoltcp::iface::{Config, Context, Interface, PollResult, SocketSet};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

/// Most frames under way to ourselves; more are dropped, as on any full wire.
const LOCAL_FRAMES: usize = 256;
/// The address that every host has (RFC 1122, 3.2.1.3).
const LOOPBACK: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::LOCALHOST, 8);

/// The interface and the queue of what it sends to itself.
pub(crate) struct Link {
    interface: Interface,
    capabilities: DeviceCapabilities,
    address: Option<Ipv4Cidr>,
    gateway: Option<Ipv4Addr>,
    local: Local,
    /// What the device leaves to do for a segment that is sent.
    finish: Finish,
    /// Changes when the table of neighbours may have changed: paths of connections made before are not used any more.
    generation: u32,
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
    frames: VecDeque<Vec<u8>>,
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
            local: Local { hardware: capabilities.address, address: None, frames: VecDeque::new() },
            finish: match capabilities.checksums {
                Checksums::Stack => Finish::Nothing,
                Checksums::Device => Finish::TcpChecksum,
            },
            generation: 0,
        };
        link.set_address(None, None);
        link
    }

    /// Returns the own address and the length of its network prefix.
    pub(crate) fn address(&self) -> Option<Ipv4Cidr> {
        self.address
    }

    /// Sets or takes away the own address and the gateway.
    pub(crate) fn set_address(&mut self, address: Option<Ipv4Cidr>, gateway: Option<Ipv4Addr>) {
        self.generation = self.generation.wrapping_add(1);
        self.address = address;
        self.gateway = gateway;
        self.local.address = address.map(|own| own.address());
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // The first one is the source for whatever lies beyond the gateway.
            for own in address.into_iter().chain([LOOPBACK]) {
                addresses.push(IpCidr::Ipv4(own)).expect("the interface holds two addresses");
            }
        });
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = gateway {
            let _previous =
                routes.add_default_ipv4_route(gateway).expect("an empty routing table takes one route");
        }
    }

    /// Tells whether `address` is one of ours.
    pub(crate) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.local.is_own(address)
    }

    /// Returns where frames for `remote` go, or `None` if there is no way to it.
    pub(crate) fn route(&self, remote: Ipv4Addr) -> Option<Route> {
        if self.is_own(remote) {
            return Some(Route::Local);
        }
        let own = self.address?;
        let is_reachable = own.contains_addr(&remote) || remote.is_broadcast() || self.gateway.is_some();
        is_reachable.then_some(Route::Wire)
    }

    /// Returns the own address that `remote` is shown.
    pub(crate) fn source_for(&self, remote: Ipv4Addr) -> Option<Ipv4Addr> {
        self.interface.get_source_address_ipv4(&remote)
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
        transmitter: &mut impl Transmitter,
        route: Route,
    ) {
        if frame::asked_address(frame).is_some_and(|address| self.is_own(address)) {
            // The interface learns from what is asked of it and answered to it.
            self.generation = self.generation.wrapping_add(1);
        }
        let mut device = self.device(Some(frame), transmitter, route, Origin::Reply);
        let _ = device.interface.poll_ingress_single(now, &mut device.frames, sockets);
    }

    /// Asks the one socket in `sockets`, which is not one of TCP, for a frame.
    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        transmitter: &mut impl Transmitter,
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
    fn egress(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        transmitter: &mut impl Transmitter,
        route: Route,
        origin: Origin,
    ) -> Egress {
        let mut device = self.device(None, transmitter, route, origin);
        let result = device.interface.poll_egress(now, &mut device.frames, sockets);
        match (result, device.frames.asked()) {
            (PollResult::SocketStateChanged, _) => Egress::Sent,
            (PollResult::None, Asked::ButFull) => Egress::Full,
            // A place for a frame was asked for and then not used for one: the neighbour is missing.
            (PollResult::None, Asked::Yes) => Egress::Unresolved,
            (PollResult::None, Asked::No) => Egress::Nothing,
        }
    }

    /// Returns the interface and the device for one call of it.
    fn device<'a, T: Transmitter>(
        &'a mut self,
        frame: Option<&'a [u8]>,
        transmitter: &'a mut T,
        route: Route,
        origin: Origin,
    ) -> Attached<'a, T> {
        let local = if route == Route::Local { Some(&mut self.local) } else { None };
        let frames = OneFrame::new(frame, transmitter, local, &self.capabilities, origin);
        Attached { interface: &mut self.interface, frames }
    }
}

struct Attached<'a, T> {
    interface: &'a mut Interface,
    frames: OneFrame<'a, T>,
}

impl Local {
    fn is_own(&self, address: Ipv4Addr) -> bool {
        self.address == Some(address) || address.is_loopback()
    }

    /// Takes a frame that is for us.
    fn take(&mut self, frame: Vec<u8>) {
        if self.frames.len() < LOCAL_FRAMES {
            self.frames.push_back(frame);
        }
    }

    fn is_for_us(&self, frame: &[u8]) -> bool {
        frame.starts_with(&self.hardware)
            || frame::asked_address(frame).is_some_and(|address| self.is_own(address))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).field("gateway", &self.gateway).finish()
    }
}

//! The interface: one smoltcp `Interface` that sees one frame and one socket set at a time.
//!
//! smoltcp offers every frame to every socket and asks every socket for output. Here it is handed a device that
//! holds exactly one frame and a set that holds exactly one socket, so its work does not grow with the number of
//! connections. ARP and ICMP are answered by the interface itself, whatever the set.
//!
//! Traffic to an own address never reaches the wire: what the interface addresses to its own Ethernet address, and
//! its ARP requests for its own addresses, go to a queue that is read back like a device. Only sockets that talk
//! to an own address pay for the look.

use super::checksum::{self, LEAST_TCP_FRAME};
use super::device::{Capabilities, Checksums, Finish, Transmitter};
use super::frame;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use smoltcp::iface::{Config, Context, Interface, PollResult, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, RxToken, TxToken};
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
    checksums: Checksums,
    address: Option<Ipv4Cidr>,
    gateway: Option<Ipv4Addr>,
    local: Local,
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
        let mut nothing = Description(given.clone());
        let mut link = Self {
            interface: Interface::new(config, &mut nothing, now),
            capabilities: given,
            checksums: capabilities.checksums,
            address: None,
            gateway: None,
            local: Local { hardware: capabilities.address, address: None, frames: VecDeque::new() },
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
        let local = if route == Route::Local { Some(&mut self.local) } else { None };
        let checksums = if self.checksums == Checksums::Device { TcpChecksums::Completed } else { TcpChecksums::Written };
        let capabilities = &self.capabilities;
        let output = Output { transmitter, local, capabilities, checksums, state: OutputState::Unasked };
        let _ = self.interface.poll_ingress_single(now, &mut OneFrame { frame: Some(frame), output }, sockets);
    }

    /// Asks the one TCP socket in `sockets` for a frame.
    pub(crate) fn send_segment(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        transmitter: &mut impl Transmitter,
        route: Route,
    ) -> Egress {
        let checksums = if self.checksums == Checksums::Device { TcpChecksums::Left } else { TcpChecksums::Written };
        self.egress(now, sockets, transmitter, route, checksums)
    }

    /// Asks the one socket in `sockets`, which is not one of TCP, for a frame.
    pub(crate) fn send_datagram(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        transmitter: &mut impl Transmitter,
        route: Route,
    ) -> Egress {
        self.egress(now, sockets, transmitter, route, TcpChecksums::Written)
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
        checksums: TcpChecksums,
    ) -> Egress {
        let local = if route == Route::Local { Some(&mut self.local) } else { None };
        let capabilities = &self.capabilities;
        let output = Output { transmitter, local, capabilities, checksums, state: OutputState::Unasked };
        let mut device = OneFrame { frame: None, output };
        let result = self.interface.poll_egress(now, &mut device, sockets);
        match (result, device.output.state) {
            (PollResult::SocketStateChanged, _) => Egress::Sent,
            (PollResult::None, OutputState::Full) => Egress::Full,
            // A place for a frame was asked for and then not used for one: the neighbour is missing.
            (PollResult::None, OutputState::Asked) => Egress::Unresolved,
            (PollResult::None, OutputState::Unasked) => Egress::Nothing,
        }
    }
}

impl Local {
    fn is_own(&self, address: Ipv4Addr) -> bool {
        self.address == Some(address) || address.is_loopback()
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

/// The device that smoltcp sees.
struct OneFrame<'a, T> {
    frame: Option<&'a [u8]>,
    output: Output<'a, T>,
}

struct Output<'a, T> {
    transmitter: &'a mut T,
    local: Option<&'a mut Local>,
    capabilities: &'a DeviceCapabilities,
    checksums: TcpChecksums,
    state: OutputState,
}

/// What happens to TCP checksums between the stack and the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TcpChecksums {
    /// The stack writes them.
    Written,
    /// They are left to the device: of a frame that a TCP socket sends it is known what it is.
    Left,
    /// They are written here: what the stack answers by itself may be anything.
    Completed,
}

#[derive(Clone, Copy)]
enum OutputState {
    Unasked,
    Asked,
    Full,
}

struct Incoming<'a>(&'a [u8]);

struct Outgoing<'a, 'b, T>(&'a mut Output<'b, T>);

impl<'a, T: Transmitter> Device for OneFrame<'a, T> {
    type RxToken<'b>
        = Incoming<'a>
    where
        Self: 'b;
    type TxToken<'b>
        = Outgoing<'b, 'a, T>
    where
        Self: 'b;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let frame = self.frame.take()?;
        Some((Incoming(frame), Outgoing(&mut self.output)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        if self.output.local.is_none() && !self.output.transmitter.has_room() {
            self.output.state = OutputState::Full;
            return None;
        }
        self.output.state = OutputState::Asked;
        Some(Outgoing(&mut self.output))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.output.capabilities.clone()
    }
}

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl<T: Transmitter> TxToken for Outgoing<'_, '_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let Output { transmitter, local, checksums, .. } = self.0;
        let Some(local) = local else {
            return match checksums {
                // A TCP socket also sends ARP requests, which are shorter.
                TcpChecksums::Left if length >= LEAST_TCP_FRAME => {
                    transmitter.transmit(length, Finish::TcpChecksum, |frame| {
                        let result = write(frame);
                        checksum::begin(frame);
                        result
                    })
                }
                TcpChecksums::Completed => transmitter.transmit(length, Finish::Nothing, |frame| {
                    let result = write(frame);
                    checksum::complete(frame);
                    result
                }),
                _ => transmitter.transmit(length, Finish::Nothing, write),
            };
        };
        let mut frame = vec![0; length];
        let result = write(&mut frame);
        if *checksums != TcpChecksums::Written {
            checksum::complete(&mut frame);
        }
        if !local.is_for_us(&frame) {
            transmitter.transmit(length, Finish::Nothing, |buffer| buffer.copy_from_slice(&frame));
        } else if local.frames.len() < LOCAL_FRAMES {
            local.frames.push_back(frame);
        }
        result
    }
}

/// A device that only says what it is, for the making of an interface.
struct Description(DeviceCapabilities);

impl Device for Description {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Nowhere;

    fn receive(&mut self, _now: Instant) -> Option<(Incoming<'_>, Nowhere)> {
        None
    }

    fn transmit(&mut self, _now: Instant) -> Option<Nowhere> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.clone()
    }
}

struct Nowhere;

impl TxToken for Nowhere {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        write(&mut vec![0; length])
    }
}

fn device_capabilities(device: Capabilities) -> DeviceCapabilities {
    let mut capabilities = DeviceCapabilities::default();
    capabilities.max_transmission_unit = device.mtu + frame::ETHERNET_HEADER;
    // What comes in is checked before it gets here, see the module `checksum`.
    capabilities.checksum.udp = Checksum::Tx;
    capabilities.checksum.tcp = match device.checksums {
        Checksums::Stack => Checksum::Tx,
        Checksums::Device => Checksum::None,
    };
    capabilities
}

//! IPv6 addresses without a server: routers tell the networks, the rest of an address is the card's own (RFC 4862).
//!
//! An address is used at once while the neighbours are asked whether somebody has it already (RFC 4429): a start does
//! not wait a second for nothing. If somebody answers it is given up.

use super::device::Outlet;
use super::icmpv6::{self, Message, UNFORWARDED};
use super::link::{AddressesV6, Link, MOST_V6_ADDRESSES, address_in};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv6Cidr;

/// How long to wait for an answer of a router, at first; then twice as long each time.
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(1);
/// How often routers are asked.
const SOLICITATIONS: u8 = 5;
/// How long somebody may claim an address of ours (RFC 4861, 10: `RETRANS_TIMER`).
const CLAIM_TIME: Duration = Duration::from_secs(1);
/// What an advertisement cannot shorten the life of an address below (RFC 4862, 5.5.3).
const LEAST_LIFETIME: Duration = Duration::from_secs(7200);
/// Most name servers that are kept.
const MOST_SERVERS: usize = 3;
/// Addresses that others have, which are not taken again.
const MOST_LOST: usize = 16;

const OPTION_PREFIX: u8 = 3;
/// Name servers (RFC 8106, 5.1).
const OPTION_SERVERS: u8 = 25;
/// The prefix lies on this wire; addresses may be made of it.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;

/// What is known of the network, and who is still asked.
#[derive(Debug)]
pub(crate) struct Autoconf {
    hardware: [u8; 6],
    routers: Routers,
    /// How often routers were asked.
    solicitations: u8,
    solicit_at: Option<Instant>,
    networks: Vec<Timed<Ipv6Cidr>>,
    gateway: Option<Timed<Ipv6Addr>>,
    servers: Vec<Timed<IpAddr>>,
    /// Own addresses that somebody may still claim.
    claimable: Vec<Timed<Ipv6Addr>>,
    /// Own addresses that somebody else has.
    lost: Vec<Ipv6Addr>,
}

/// Whether routers are listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Routers {
    Heard,
    /// The addresses are given.
    Ignored,
}

/// Something that holds until a moment; `None`: for ever.
#[derive(Clone, Copy, Debug)]
struct Timed<T> {
    value: T,
    until: Option<Instant>,
}

impl<T> Timed<T> {
    fn holds(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Autoconf {
    /// Starts to ask.
    pub(crate) fn new(hardware: [u8; 6], now: Instant) -> Self {
        Self {
            hardware,
            routers: Routers::Heard,
            solicitations: 0,
            solicit_at: Some(now),
            networks: Vec::new(),
            gateway: None,
            servers: Vec::new(),
            claimable: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Takes given addresses; no routers are asked.
    pub(crate) fn given(
        hardware: [u8; 6],
        addresses: &AddressesV6,
        servers: Vec<IpAddr>,
        now: Instant,
    ) -> Self {
        let for_ever = |value| Timed { value, until: None };
        Self {
            solicit_at: None,
            networks: addresses.own.iter().map(|own| Timed { value: *own, until: None }).collect(),
            gateway: addresses.gateway.map(|value| Timed { value, until: None }),
            servers: servers.into_iter().map(for_ever).collect(),
            routers: Routers::Ignored,
            ..Self::new(hardware, now)
        }
    }

    /// Returns the addresses to use now, and the name servers.
    pub(crate) fn addresses(&self, link_local: Ipv6Cidr) -> (AddressesV6, Vec<IpAddr>) {
        let own = self.networks.iter().map(|network| network.value).take(MOST_V6_ADDRESSES - 1);
        let own = own.chain([link_local]).filter(|own| !self.lost.contains(&own.address())).collect();
        let gateway = self.gateway.map(|gateway| gateway.value);
        (AddressesV6 { own, gateway }, self.servers.iter().map(|server| server.value).collect())
    }

    /// Sends what is due and forgets what is over.
    pub(crate) fn poll(&mut self, now: Instant, link: &mut Link, transmitter: &mut dyn Outlet) {
        if self.solicit_at.is_some_and(|at| at <= now) {
            link.solicit_routers(transmitter);
            let wait = SOLICITATION_INTERVAL * (1 << self.solicitations);
            self.solicitations += 1;
            self.solicit_at = (self.solicitations < SOLICITATIONS).then_some(now + wait);
        }
        self.networks.retain(|network| network.holds(now));
        self.servers.retain(|server| server.holds(now));
        self.claimable.retain(|own| own.holds(now));
        self.gateway = self.gateway.filter(|gateway| gateway.holds(now));
    }

    /// Asks the neighbours whether they have one of `own`.
    pub(crate) fn claim(
        &mut self,
        now: Instant,
        own: &[Ipv6Cidr],
        link: &mut Link,
        transmitter: &mut dyn Outlet,
    ) {
        self.claimable.retain(|own| own.holds(now));
        for own in own {
            self.claimable.push(Timed { value: own.address(), until: Some(now + CLAIM_TIME) });
            link.solicit(own.address(), Ipv6Addr::UNSPECIFIED, transmitter);
        }
    }

    /// Returns when [`Self::poll`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let networks = self.networks.iter().filter_map(|network| network.until);
        let servers = self.servers.iter().filter_map(|server| server.until);
        let gateway = self.gateway.and_then(|gateway| gateway.until);
        networks.chain(servers).chain(gateway).chain(self.solicit_at).min()
    }

    /// Notes that a neighbour has, or asks for, an address that may be ours.
    pub(crate) fn hear_neighbor(&mut self, now: Instant, message: &Message<'_>) {
        let Some(target) = message.target() else { return };
        let is_claim = message.kind() == icmpv6::NEIGHBOR_ADVERTISEMENT || message.source.is_unspecified();
        let is_ours = self.claimable.iter().any(|own| own.value == target && own.holds(now));
        if is_claim && is_ours && message.hardware != self.hardware {
            self.claimable.retain(|own| own.value != target);
            self.lose(target);
        }
    }

    /// Keeps an address that somebody else has, so that it is not taken again; only the last ones are kept.
    fn lose(&mut self, address: Ipv6Addr) {
        if self.lost.len() >= MOST_LOST {
            self.lost.remove(0);
        }
        self.lost.push(address);
    }

    /// Notes what a router tells (RFC 4861, 6.3.4).
    pub(crate) fn hear_router(&mut self, now: Instant, message: &Message<'_>) {
        let is_near = message.hop_limit == UNFORWARDED && message.source.is_unicast_link_local();
        let is_near = is_near && self.routers == Routers::Heard;
        let Some(header) = message.body.first_chunk::<16>().filter(|_| is_near && message.code() == 0) else {
            return;
        };
        self.hear_gateway(now, message.source, u16::from_be_bytes([header[6], header[7]]));
        for (kind, option) in icmpv6::options(&message.body[16..]) {
            match kind {
                OPTION_PREFIX => self.hear_prefix(now, option),
                OPTION_SERVERS => self.hear_servers(now, option),
                _ => {}
            }
        }
        self.solicit_at = None;
    }

    /// Keeps the first of several routers as long as it holds.
    fn hear_gateway(&mut self, now: Instant, router: Ipv6Addr, lifetime: u16) {
        let is_known = self.gateway.is_some_and(|known| known.value == router);
        if is_known || self.gateway.is_none() {
            let until = Some(now + Duration::from_secs(lifetime.into()));
            self.gateway = (lifetime > 0).then_some(Timed { value: router, until });
        }
    }

    fn hear_prefix(&mut self, now: Instant, option: &[u8]) {
        let Some(option) = option.first_chunk::<32>() else { return };
        let lifetime = u32::from_be_bytes([option[4], option[5], option[6], option[7]]);
        let Some(network) = option[16..].first_chunk::<8>() else { return };
        let address = address_in(*network, self.hardware);
        if option[3] & AUTONOMOUS == 0 || option[2] != 64 || !is_assignable(address) {
            return;
        }
        let length = if option[3] & ON_LINK == 0 { 128 } else { 64 };
        let until = (lifetime != u32::MAX).then(|| now + Duration::from_secs(lifetime.into()));
        let has_room = self.networks.len() < MOST_V6_ADDRESSES - 1;
        match self.networks.iter_mut().find(|known| known.value.address() == address) {
            Some(known) => {
                known.value = Ipv6Cidr::new(address, length);
                // Nobody can take the address away at once by a forged advertisement.
                let least = known.until.map_or(now + LEAST_LIFETIME, |old| old.min(now + LEAST_LIFETIME));
                known.until = until.map(|until| until.max(least));
            }
            None if lifetime > 0 && has_room => {
                self.networks.push(Timed { value: Ipv6Cidr::new(address, length), until });
            }
            None => {}
        }
    }

    /// Keeps the name servers of this option and those of earlier ones until their time is over, and of too many those
    /// that hold longest (RFC 8106, 5.3.1 and 6.2).
    fn hear_servers(&mut self, now: Instant, option: &[u8]) {
        let Some((header, addresses)) = option.split_at_checked(8) else { return };
        let lifetime = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let until = (lifetime != u32::MAX).then(|| now + Duration::from_secs(lifetime.into()));
        for index in 0..addresses.len() / 16 {
            let Some(address) = icmpv6::address(addresses, index * 16) else { return };
            let value = IpAddr::from(address);
            if let Some(known) = self.servers.iter_mut().find(|known| known.value == value) {
                known.until = until;
            } else if lifetime > 0 && is_assignable(address) {
                self.servers.push(Timed { value, until });
                self.forget_a_server();
            }
        }
    }

    /// Of too many name servers, forgets the one whose time is over first.
    fn forget_a_server(&mut self) {
        let end = |place: &usize| self.servers[*place].until.map_or(i64::MAX, |until| until.total_micros());
        if self.servers.len() > MOST_SERVERS
            && let Some(first) = (0..self.servers.len()).min_by_key(end)
        {
            self.servers.remove(first);
        }
    }
}

/// Tells whether a host can have an address that a router tells.
fn is_assignable(address: Ipv6Addr) -> bool {
    super::config::is_host(address) && !address.is_unicast_link_local()
}

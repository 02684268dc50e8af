//! Which socket a port belongs to, for each version of the internet protocol apart.
//!
//! A socket bound to `::` takes both versions, as on Linux (RFC 3493, 3.7), so it stands in both tables.

use crate::slots::Id;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// What a socket is bound to, apart from its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bound {
    /// Every IPv4 address.
    AnyV4,
    /// Every address of both versions.
    Any,
    /// This one.
    Only(IpAddr),
}

/// Sockets by their ports. They are looked for often and bound seldom, and there are few: a table in order, which takes
/// less code than a hash table and is as fast.
pub(crate) struct Ports<T> {
    /// By the port and, above it, [`V4`] or [`V6`]; in the order of these.
    table: Vec<(u32, Id<T>)>,
}

const V4: u32 = 0;
const V6: u32 = 1 << 16;

impl Bound {
    /// Returns what binding to `address` means.
    pub(crate) fn to(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(any) if any.is_unspecified() => Self::AnyV4,
            IpAddr::V6(any) if any.is_unspecified() => Self::Any,
            one => Self::Only(one),
        }
    }

    /// Returns the one address.
    pub(crate) fn only(self) -> Option<IpAddr> {
        match self {
            Self::Only(address) => Some(address),
            Self::AnyV4 | Self::Any => None,
        }
    }

    /// Tells whether what is sent to `destination` is for the socket.
    pub(crate) fn takes(self, destination: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::AnyV4 => destination.is_ipv4(),
            Self::Only(own) => own == destination,
        }
    }

    /// Tells whether a socket bound so can send to `destination`: it must have an address of that version.
    pub(crate) fn can_send_to(self, destination: IpAddr) -> bool {
        if destination.is_ipv4() { self.takes_v4() } else { self.takes_v6() }
    }

    fn takes_v4(self) -> bool {
        !matches!(self, Self::Only(IpAddr::V6(_)))
    }

    fn takes_v6(self) -> bool {
        matches!(self, Self::Any | Self::Only(IpAddr::V6(_)))
    }

    /// Returns the keys of `port` in a table.
    fn keys(self, port: u16) -> impl Iterator<Item = u32> {
        let versions = [(self.takes_v4(), V4), (self.takes_v6(), V6)];
        versions.into_iter().filter_map(move |(takes, version)| takes.then_some(version | u32::from(port)))
    }
}

impl<T> Ports<T> {
    pub(crate) fn new() -> Self {
        Self { table: Vec::new() }
    }

    /// Returns the socket that has `port` of `destination`; it may be bound to another address.
    pub(crate) fn get(&self, destination: IpAddr, port: u16) -> Option<Id<T>> {
        let version = if destination.is_ipv4() { V4 } else { V6 };
        self.find(version | u32::from(port)).ok().map(|place| self.table[place].1)
    }

    /// Tells whether a socket can be bound so.
    pub(crate) fn is_free(&self, bound: Bound, port: u16) -> bool {
        !bound.keys(port).any(|key| self.find(key).is_ok())
    }

    /// Returns the entries, a port and its socket each; a socket of both versions has two.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, Id<T>)> {
        self.table.iter().map(|(key, id)| (u16::try_from(key & 0xffff).expect("it was cut to 16 bits"), *id))
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn capacity(&self) -> usize {
        self.table.capacity()
    }

    pub(crate) fn insert(&mut self, bound: Bound, port: u16, id: Id<T>) {
        for key in bound.keys(port) {
            match self.find(key) {
                Ok(place) => self.table[place].1 = id,
                Err(place) => self.table.insert(place, (key, id)),
            }
        }
    }

    pub(crate) fn remove(&mut self, bound: Bound, port: u16) {
        for key in bound.keys(port) {
            if let Ok(place) = self.find(key) {
                self.table.remove(place);
            }
        }
    }

    /// Returns the place of a key, or else where it belongs.
    fn find(&self, key: u32) -> Result<usize, usize> {
        self.table.binary_search_by_key(&key, |entry| entry.0)
    }
}

impl<T> fmt::Debug for Ports<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").field("entries", &self.table.len()).finish()
    }
}

/// Returns `address` without what tells nothing here: an IPv4 address in IPv6 clothes (RFC 4291, 2.5.5.2), a flow, and
/// the number of an interface, of which there is one.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Returns `address` as a socket shows it that was made for addresses like `model`: an IPv6 socket shows IPv4 addresses
/// in IPv6 clothes.
pub(crate) fn shown_like(model: SocketAddr, address: SocketAddr) -> SocketAddr {
    match (model, address.ip()) {
        (SocketAddr::V6(_), IpAddr::V4(ip)) => {
            SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), address.port())
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Slots;
    use core::net::{Ipv4Addr, Ipv6Addr};

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const SIX: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

    #[test]
    fn a_socket_at_any_ipv6_address_takes_both_versions() {
        let mut slots = Slots::new();
        let mut ports = Ports::new();
        let both = slots.insert(());
        let any = Bound::to(Ipv6Addr::UNSPECIFIED.into());
        ports.insert(any, 80, both);
        for address in [ONE, SIX] {
            assert!(any.takes(address));
            assert_eq!(ports.get(address, 80), Some(both));
            assert!(!ports.is_free(Bound::to(address), 80));
        }
        ports.remove(any, 80);
        assert_eq!(ports.get(ONE, 80), None);
        assert!(ports.is_free(any, 80));
    }

    #[test]
    fn each_version_has_its_own_ports() {
        let mut slots = Slots::new();
        let mut ports = Ports::new();
        let (v4, v6) = (slots.insert(()), slots.insert(()));
        ports.insert(Bound::to(Ipv4Addr::UNSPECIFIED.into()), 80, v4);
        assert!(ports.is_free(Bound::to(SIX), 80));
        assert!(!ports.is_free(Bound::Any, 80));
        ports.insert(Bound::to(SIX), 80, v6);
        assert_eq!((ports.get(ONE, 80), ports.get(SIX, 80)), (Some(v4), Some(v6)));
    }

    #[test]
    fn ipv4_in_ipv6_clothes_is_ipv4() {
        let mapped: SocketAddr = "[::ffff:10.0.0.1]:80".parse().unwrap();
        assert_eq!(canonical(mapped), SocketAddr::new(ONE, 80));
        assert_eq!(Bound::to(mapped.ip()), Bound::Only(ONE));
        assert_eq!(shown_like(mapped, SocketAddr::new(ONE, 80)), mapped);
        assert_eq!(shown_like(SocketAddr::new(ONE, 1), SocketAddr::new(ONE, 80)), SocketAddr::new(ONE, 80));
    }
}

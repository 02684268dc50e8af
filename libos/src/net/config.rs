//! The network settings: what the command line says of them.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use smoltcp::wire::{Ipv4Cidr, Ipv6Cidr};

/// Address, gateway and name servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    /// The own address and the length of its network prefix.
    pub(crate) address: Ipv4Cidr,
    /// The router to everywhere else.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// The name servers.
    pub(crate) servers: Vec<IpAddr>,
}

/// The same of IPv6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SettingsV6 {
    /// The own address and the length of its network prefix.
    pub(crate) address: Ipv6Cidr,
    /// The router to everywhere else.
    pub(crate) gateway: Option<Ipv6Addr>,
    /// The name servers, unless they stand in the settings of IPv4.
    pub(crate) servers: Vec<IpAddr>,
}

/// What the command line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sources {
    /// Of IPv4.
    pub(crate) v4: Source,
    /// Of IPv6.
    pub(crate) v6: SourceV6,
}

/// Where IPv4 settings come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Nothing is said: ask a DHCP server.
    Dhcp,
    /// These settings.
    Given(Settings),
}

/// Where IPv6 settings come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum SourceV6 {
    /// Nothing is said: ask the routers.
    Automatic,
    /// These settings.
    Given(SettingsV6),
    /// No IPv6.
    Off,
}

/// A word of the command line that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Error {
    /// `net.ip` is not an address with a prefix length.
    Address,
    /// `net.gw` is not an address of a host.
    Gateway,
    /// `net.ip6` is not an address with a prefix length.
    AddressV6,
    /// `net.gw6` is not an address of a host.
    GatewayV6,
    /// `net.dns` is not an address of a host.
    Server,
    /// `net.gw` without `net.ip`, `net.gw6` without `net.ip6`, or `net.dns` without any of the two.
    Incomplete,
}

impl Settings {
    /// Drops what no host can have, as a DHCP server may send it. `None`: the address itself is such.
    pub(crate) fn checked(mut self) -> Option<Self> {
        if !is_host(self.address.address()) || self.address.prefix_len() > 32 {
            return None;
        }
        self.gateway = self.gateway.filter(|gateway| is_host(*gateway));
        self.servers.retain(|server| is_host(*server));
        Some(self)
    }
}

impl Sources {
    /// Reads the words `net.ip=`, `net.gw=`, `net.ip6=`, `net.gw6=` and `net.dns=`, each a name and its value.
    ///
    /// # Errors
    ///
    /// A word makes no sense.
    pub(crate) fn from_words<'a>(words: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let (mut address, mut gateway) = (None, None);
        let (mut address_v6, mut gateway_v6, mut is_off) = (None, None, false);
        let mut servers: Vec<IpAddr> = Vec::new();
        for (name, value) in words {
            match name {
                "net.ip" => address = Some(parse_network(value).ok_or(Error::Address)?),
                "net.gw" => gateway = Some(parse_v4(value).ok_or(Error::Gateway)?),
                "net.ip6" if value == "off" => is_off = true,
                "net.ip6" => address_v6 = Some(parse_network_v6(value).ok_or(Error::AddressV6)?),
                "net.gw6" => gateway_v6 = Some(parse_v6(value).ok_or(Error::GatewayV6)?),
                "net.dns" => servers.push(parse_host(value).ok_or(Error::Server)?),
                _ => {}
            }
        }
        let is_incomplete = address.is_none() && gateway.is_some()
            || address_v6.is_none() && gateway_v6.is_some()
            || address.is_none() && address_v6.is_none() && !servers.is_empty();
        if is_incomplete || is_off && address_v6.is_some() {
            return Err(Error::Incomplete);
        }
        let v4 = match address {
            Some(address) => {
                Source::Given(Settings { address, gateway, servers: core::mem::take(&mut servers) })
            }
            None => Source::Dhcp,
        };
        let v6 = match address_v6 {
            Some(address) => SourceV6::Given(SettingsV6 { address, gateway: gateway_v6, servers }),
            None if is_off => SourceV6::Off,
            None => SourceV6::Automatic,
        };
        Ok(Self { v4, v6 })
    }
}

/// Tells whether one host can have `address` on a wire.
pub(crate) fn is_host(address: impl Into<IpAddr>) -> bool {
    let address = address.into();
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let is_mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    !(address.is_unspecified()
        || address.is_multicast()
        || address.is_loopback()
        || is_broadcast
        || is_mapped)
}

fn parse_network(text: &str) -> Option<Ipv4Cidr> {
    let (address, prefix) = text.split_once('/')?;
    Some(Ipv4Cidr::new(parse_v4(address)?, parse_prefix(prefix, 32)?))
}

fn parse_network_v6(text: &str) -> Option<Ipv6Cidr> {
    let (address, prefix) = text.split_once('/')?;
    Some(Ipv6Cidr::new(parse_v6(address)?, parse_prefix(prefix, 128)?))
}

fn parse_prefix(text: &str, most: u8) -> Option<u8> {
    text.parse().ok().filter(|prefix| (1..=most).contains(prefix))
}

fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    match parse_host(text)? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    match parse_host(text)? {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

#[inline(never)]
fn parse_host(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address: &IpAddr| is_host(*address))
}

impl Error {
    /// Returns what is wrong and what to write instead.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Address => "net.ip is not an address with a prefix length; write for example 10.0.0.2/24",
            Self::Gateway => "net.gw is not the address of a host; write for example 10.0.0.1",
            Self::Server => "net.dns is not the address of a host; write for example 10.0.0.1",
            Self::AddressV6 => {
                "net.ip6 is not an address with a prefix length; write for example fd00::2/64, or off"
            }
            Self::GatewayV6 => "net.gw6 is not the address of a host; write for example fd00::1",
            Self::Incomplete => {
                "net.gw needs net.ip, net.gw6 needs net.ip6, and net.dns one of them; without, DHCP and routers are asked"
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[(&'static str, &'static str)]) -> Result<Sources, Error> {
        Sources::from_words(words.iter().copied())
    }

    #[test]
    fn without_words_dhcp_and_routers_are_asked() {
        let automatic = Sources { v4: Source::Dhcp, v6: SourceV6::Automatic };
        assert_eq!(read(&[]), Ok(automatic.clone()));
        assert_eq!(read(&[("env.A", "b")]), Ok(automatic));
    }

    #[test]
    fn given_settings_are_taken() {
        let words = [
            ("net.ip", "10.1.2.3/16"),
            ("net.gw", "10.1.0.1"),
            ("net.dns", "9.9.9.9"),
            ("net.dns", "fd00::53"),
        ];
        let expected = Settings {
            address: Ipv4Cidr::new(Ipv4Addr::new(10, 1, 2, 3), 16),
            gateway: Some(Ipv4Addr::new(10, 1, 0, 1)),
            servers: ["9.9.9.9".parse().unwrap(), "fd00::53".parse().unwrap()].into(),
        };
        assert_eq!(read(&words), Ok(Sources { v4: Source::Given(expected), v6: SourceV6::Automatic }));
    }

    #[test]
    fn given_settings_of_ipv6_are_taken() {
        let words = [("net.ip6", "fd00::2/64"), ("net.gw6", "fe80::1"), ("net.dns", "fd00::53")];
        let expected = SettingsV6 {
            address: Ipv6Cidr::new("fd00::2".parse().unwrap(), 64),
            gateway: Some("fe80::1".parse().unwrap()),
            servers: ["fd00::53".parse().unwrap()].into(),
        };
        assert_eq!(read(&words), Ok(Sources { v4: Source::Dhcp, v6: SourceV6::Given(expected) }));
        assert_eq!(read(&[("net.ip6", "off")]), Ok(Sources { v4: Source::Dhcp, v6: SourceV6::Off }));
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        for value in
            ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/0", "10.0.0.1/33", "255.255.255.255/8", "x/8", "::1/8"]
        {
            assert_eq!(read(&[("net.ip", value)]), Err(Error::Address), "{value}");
        }
        for value in ["", "fd00::1", "fd00::1/0", "fd00::1/129", "::1/64", "ff02::1/64", "::ffff:1.2.3.4/96"]
        {
            assert_eq!(read(&[("net.ip6", value)]), Err(Error::AddressV6), "{value}");
        }
        assert_eq!(read(&[("net.gw", "224.0.0.1")]), Err(Error::Gateway));
        assert_eq!(read(&[("net.gw6", "ff02::1")]), Err(Error::GatewayV6));
        assert_eq!(read(&[("net.dns", "0.0.0.0")]), Err(Error::Server));
        for alone in [("net.gw", "10.0.0.1"), ("net.gw6", "fe80::1"), ("net.dns", "9.9.9.9")] {
            assert_eq!(read(&[alone]), Err(Error::Incomplete));
        }
        assert_eq!(read(&[("net.ip6", "off"), ("net.gw6", "fe80::1")]), Err(Error::Incomplete));
    }

    #[test]
    fn what_a_server_sends_is_checked() {
        let sent = Settings {
            address: Ipv4Cidr::new(Ipv4Addr::new(10, 1, 2, 3), 16),
            gateway: Some(Ipv4Addr::BROADCAST),
            servers: [[0, 0, 0, 0].into(), [8, 8, 8, 8].into()].into(),
        };
        let kept = sent.clone().checked().unwrap();
        assert_eq!((kept.gateway, kept.servers.len()), (None, 1));
        let multicast = Ipv4Cidr::new(Ipv4Addr::new(224, 0, 0, 1), 24);
        assert_eq!(Settings { address: multicast, ..sent }.checked(), None);
    }
}

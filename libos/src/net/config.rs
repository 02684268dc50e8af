//! The network settings: what the command line says of them.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;
use smoltcp::wire::Ipv4Cidr;

/// Address, gateway and name servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Settings {
    /// The own address and the length of its network prefix.
    pub(crate) address: Ipv4Cidr,
    /// The router to everywhere else.
    pub(crate) gateway: Option<Ipv4Addr>,
    /// The name servers.
    pub(crate) servers: Vec<Ipv4Addr>,
}

/// What the command line says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Nothing: ask a DHCP server.
    Dhcp,
    /// These settings.
    Given(Settings),
}

/// A word of the command line that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Error {
    /// `net.ip` is not an address with a prefix length.
    Address,
    /// `net.gw` is not an address of a host.
    Gateway,
    /// `net.dns` is not an address of a host.
    Server,
    /// `net.gw` or `net.dns` without `net.ip`.
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

impl Source {
    /// Reads the words `net.ip=`, `net.gw=` and `net.dns=`, each a name and its value.
    ///
    /// # Errors
    ///
    /// A word makes no sense.
    pub(crate) fn from_words<'a>(words: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut address = None;
        let mut gateway = None;
        let mut servers = Vec::new();
        for (name, value) in words {
            match name {
                "net.ip" => address = Some(parse_network(value).ok_or(Error::Address)?),
                "net.gw" => gateway = Some(parse_host(value).ok_or(Error::Gateway)?),
                "net.dns" => servers.push(parse_host(value).ok_or(Error::Server)?),
                _ => {}
            }
        }
        match address {
            Some(address) => Ok(Self::Given(Settings { address, gateway, servers })),
            None if gateway.is_none() && servers.is_empty() => Ok(Self::Dhcp),
            None => Err(Error::Incomplete),
        }
    }
}

/// Tells whether one host can have `address` on a wire.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_broadcast() || address.is_multicast() || address.is_loopback())
}

fn parse_network(text: &str) -> Option<Ipv4Cidr> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| (1..=32).contains(prefix))?;
    Some(Ipv4Cidr::new(parse_host(address)?, prefix))
}

fn parse_host(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok().filter(|address| is_host(*address))
}

impl Error {
    /// Returns what is wrong and what to write instead.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Address => "net.ip is not an address with a prefix length; write for example 10.0.0.2/24",
            Self::Gateway => "net.gw is not the address of a host; write for example 10.0.0.1",
            Self::Server => "net.dns is not the address of a host; write for example 10.0.0.1",
            Self::Incomplete => "net.gw and net.dns need net.ip; without any of them DHCP is used",
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

    fn read(words: &[(&'static str, &'static str)]) -> Result<Source, Error> {
        Source::from_words(words.iter().copied())
    }

    #[test]
    fn without_words_dhcp_is_asked() {
        assert_eq!(read(&[]), Ok(Source::Dhcp));
        assert_eq!(read(&[("env.A", "b")]), Ok(Source::Dhcp));
    }

    #[test]
    fn given_settings_are_taken() {
        let words = [
            ("net.ip", "10.1.2.3/16"),
            ("net.gw", "10.1.0.1"),
            ("net.dns", "9.9.9.9"),
            ("net.dns", "8.8.8.8"),
        ];
        let expected = Settings {
            address: Ipv4Cidr::new(Ipv4Addr::new(10, 1, 2, 3), 16),
            gateway: Some(Ipv4Addr::new(10, 1, 0, 1)),
            servers: [Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(8, 8, 8, 8)].into(),
        };
        assert_eq!(read(&words), Ok(Source::Given(expected)));
    }

    #[test]
    fn words_that_make_no_sense_are_refused() {
        for value in
            ["", "10.0.0.1", "10.0.0.1/", "10.0.0.1/0", "10.0.0.1/33", "255.255.255.255/8", "x/8", "::1/8"]
        {
            assert_eq!(read(&[("net.ip", value)]), Err(Error::Address), "{value}");
        }
        assert_eq!(read(&[("net.gw", "224.0.0.1")]), Err(Error::Gateway));
        assert_eq!(read(&[("net.dns", "0.0.0.0")]), Err(Error::Server));
        assert_eq!(read(&[("net.gw", "10.0.0.1")]), Err(Error::Incomplete));
    }

    #[test]
    fn what_a_server_sends_is_checked() {
        let sent = Settings {
            address: Ipv4Cidr::new(Ipv4Addr::new(10, 1, 2, 3), 16),
            gateway: Some(Ipv4Addr::BROADCAST),
            servers: [Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(8, 8, 8, 8)].into(),
        };
        let kept = sent.clone().checked().unwrap();
        assert_eq!((kept.gateway, kept.servers.len()), (None, 1));
        let multicast = Ipv4Cidr::new(Ipv4Addr::new(224, 0, 0, 1), 24);
        assert_eq!(Settings { address: multicast, ..sent }.checked(), None);
    }
}

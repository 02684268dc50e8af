//! What a machine's network card is plugged into, and the ports that are published on the host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::str::FromStr;

use crate::simulation::LockstepSocket;

/// A network that a machine can be plugged into.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Network {
    /// No network card.
    #[default]
    None,
    /// A network stack on this host, for which nobody needs rights: QEMU's own, which reaches what the host reaches, or
    /// for a guest that runs as a process a [`Backend`].
    User(UserNetwork),
    /// A tap interface that exists already.
    Tap(String),
    /// A link to another guest that runs as a process and names the same path, at which the first of them listens.
    Peer(PathBuf),
    /// A unix socket on which somebody listens; frames go over it with a 4-byte big-endian length before each.
    Stream(PathBuf),
    /// A simulated network, for a guest that runs as a process in lockstep with it.
    Lockstep(LockstepSocket),
}

/// Settings of [`Network::User`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserNetwork {
    /// Ports published on the host.
    pub forwards: Vec<Forward>,
    /// The guest's own address, if it is given one rather than asking by DHCP.
    pub address: Option<Address>,
    /// The gateway the guest was told, if any.
    pub gateway: Option<Ipv4Addr>,
    /// Who carries the packets of a guest that runs as a process.
    pub backend: Backend,
}

/// Who carries the packets of a guest that runs as a process, on a user network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// passt where it works, else the forwarder.
    #[default]
    Auto,
    /// passt, which reaches what the host reaches.
    Passt,
    /// This program itself, which forwards published ports and nothing else.
    Forwarder,
}

impl Network {
    fn user(backend: Backend) -> Self {
        Self::User(UserNetwork { backend, ..UserNetwork::default() })
    }
}

impl UserNetwork {
    /// Checks that this network can be played.
    ///
    /// # Errors
    ///
    /// The gateway is no other host of the guest's own network.
    pub fn check(&self) -> Result<(), NetworkError> {
        match (self.address, self.gateway) {
            (Some(address), Some(gateway)) if !address.is_neighbour(gateway) => {
                Err(NetworkError::GatewayElsewhere { gateway, address })
            }
            _ => Ok(()),
        }
    }
}

/// An address with the length of its network's prefix, as in `10.0.2.15/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The address.
    pub ip: Ipv4Addr,
    /// Bits of the network's prefix.
    pub prefix: u8,
}

impl Address {
    /// Returns the address of the network itself.
    #[must_use]
    pub fn network(self) -> Ipv4Addr {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
        Ipv4Addr::from(u32::from(self.ip) & mask)
    }

    /// Tells whether `other` is another host of the same network, not the network itself.
    #[must_use]
    pub fn is_neighbour(self, other: Ipv4Addr) -> bool {
        let network = self.network();
        other != self.ip && other != network && Self { ip: other, ..self }.network() == network
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Protocol of a published port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port of the guest, published on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forward {
    /// Protocol.
    pub protocol: Protocol,
    /// Address on the host.
    pub host_address: Ipv4Addr,
    /// Port on the host; 0: any free one, see [`Forward::with_free_port`].
    pub host_port: u16,
    /// Port in the guest.
    pub guest_port: u16,
}

impl Forward {
    /// Publishes TCP port `guest_port` at `host_port` of the host's loopback address.
    #[must_use]
    pub fn tcp(host_port: u16, guest_port: u16) -> Self {
        Self { protocol: Protocol::Tcp, host_address: Ipv4Addr::LOCALHOST, host_port, guest_port }
    }

    /// Publishes UDP port `guest_port` at `host_port` of the host's loopback address.
    #[must_use]
    pub fn udp(host_port: u16, guest_port: u16) -> Self {
        Self { protocol: Protocol::Udp, ..Self::tcp(host_port, guest_port) }
    }

    /// Replaces host port 0 by a free one and checks that the port asked for is free.
    ///
    /// Somebody else may take the port before QEMU does: QEMU then says so itself.
    ///
    /// # Errors
    ///
    /// The port is in use, needs rights, or the address is not one of this host.
    pub fn with_free_port(self) -> Result<Self, NetworkError> {
        let address = (IpAddr::V4(self.host_address), self.host_port);
        let bound = match self.protocol {
            Protocol::Tcp => TcpListener::bind(address).and_then(|socket| socket.local_addr()),
            Protocol::Udp => UdpSocket::bind(address).and_then(|socket| socket.local_addr()),
        };
        match bound {
            Ok(local) => Ok(Self { host_port: local.port(), ..self }),
            Err(cause) => Err(NetworkError::PortUnavailable { forward: self, cause: cause.kind() }),
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} -> {}/{}", self.host_address, self.host_port, self.guest_port, self.protocol)
    }
}

/// What is wrong with a network setting.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkError {
    /// A published port does not read as one.
    #[error(
        "`{0}` is not a port to publish; write HOST:GUEST, for example 8080:80, 127.0.0.1:8080:80 or 53:53/udp"
    )]
    BadForward(String),
    /// An address does not read as one.
    #[error("`{0}` is not an IPv4 address with its prefix; write for example 10.0.2.15/24")]
    BadAddress(String),
    /// A network does not read as one.
    #[error(
        "`{0}` is not a network; choose user, user=passt, user=forwarder, none, tap=INTERFACE or peer=PATH"
    )]
    BadNetwork(String),
    /// A gateway that the guest cannot reach.
    #[error("{gateway} is no other host of the network of {address}; choose a --gateway that lies in it")]
    GatewayElsewhere {
        /// The gateway asked for.
        gateway: Ipv4Addr,
        /// The guest's own address.
        address: Address,
    },
    /// A port on the host cannot be had.
    #[error(
        "{protocol} port {port} of {address} cannot be published: {cause}; choose another host port with -p",
        protocol = forward.protocol, port = forward.host_port, address = forward.host_address
    )]
    PortUnavailable {
        /// The port asked for.
        forward: Forward,
        /// What the host said.
        cause: std::io::ErrorKind,
    },
}

impl FromStr for Forward {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        parse_forward(text).ok_or_else(|| NetworkError::BadForward(text.to_owned()))
    }
}

impl FromStr for Address {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        parse_address(text).ok_or_else(|| NetworkError::BadAddress(text.to_owned()))
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        match text.split_once('=') {
            None if text == "user" => Ok(Self::User(UserNetwork::default())),
            None if text == "none" => Ok(Self::None),
            Some(("user", "passt")) => Ok(Self::user(Backend::Passt)),
            Some(("user", "forwarder")) => Ok(Self::user(Backend::Forwarder)),
            Some(("peer", path)) if !path.is_empty() => Ok(Self::Peer(path.into())),
            Some(("tap", interface)) if is_interface_name(interface) => Ok(Self::Tap(interface.to_owned())),
            _ => Err(NetworkError::BadNetwork(text.to_owned())),
        }
    }
}

fn parse_forward(text: &str) -> Option<Forward> {
    let (ports, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((ports, "tcp")) => (ports, Protocol::Tcp),
        Some((ports, "udp")) => (ports, Protocol::Udp),
        Some(_) => return None,
    };
    let (rest, guest) = ports.rsplit_once(':').unwrap_or(("0", ports));
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (address.parse().ok()?, host),
        None => (Ipv4Addr::LOCALHOST, rest),
    };
    let guest_port = guest.parse().ok().filter(|port| *port != 0)?;
    Some(Forward { protocol, host_address: address, host_port: host.parse().ok()?, guest_port })
}

fn parse_address(text: &str) -> Option<Address> {
    let (ip, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| (1..=32).contains(prefix))?;
    Some(Address { ip: ip.parse().ok()?, prefix })
}

/// The kernel's own rule (`dev_valid_name`), and no comma, which would start another QEMU option.
fn is_interface_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 16
        && name != "."
        && name != ".."
        && !name.contains(|letter: char| matches!(letter, '/' | ':' | ',') || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_published_as_docker_writes_them() {
        assert_eq!("8080:80".parse(), Ok(Forward::tcp(8080, 80)));
        assert_eq!("53:5353/udp".parse(), Ok(Forward::udp(53, 5353)));
        assert_eq!("80".parse(), Ok(Forward::tcp(0, 80)));
        let everywhere = Forward { host_address: Ipv4Addr::UNSPECIFIED, ..Forward::tcp(8080, 80) };
        assert_eq!("0.0.0.0:8080:80".parse(), Ok(everywhere));
    }

    #[test]
    fn what_is_not_a_port_is_refused() {
        for text in
            ["", ":", "80:", ":80", "8080:0", "65536:80", "8080:80/sctp", "host:8080:80", "1:2:3", "-1:80"]
        {
            assert_eq!(text.parse::<Forward>(), Err(NetworkError::BadForward(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let message = Forward::tcp(port, 80).with_free_port().unwrap_err().to_string();
        assert!(message.contains(&format!("tcp port {port} of 127.0.0.1")), "{message}");
        assert_ne!(Forward::tcp(0, 80).with_free_port().unwrap().host_port, 0);
    }

    #[test]
    fn a_gateway_that_the_guest_cannot_reach_is_named() {
        let check = |gateway: &str| {
            let (address, gateway) = ("10.1.2.3/24".parse().ok(), gateway.parse().ok());
            UserNetwork { address, gateway, ..UserNetwork::default() }
                .check()
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("10.1.2.1"), Ok(()));
        for gateway in ["10.1.3.1", "10.1.2.0", "10.1.2.3"] {
            let message = check(gateway).unwrap_err();
            assert!(
                message.starts_with(&format!("{gateway} is no other host of the network of 10.1.2.3/24;")),
                "{message}"
            );
        }
        assert_eq!(UserNetwork::default().check(), Ok(()));
    }

    #[test]
    fn networks_and_addresses_are_read() {
        assert_eq!("tap=tap0".parse(), Ok(Network::Tap("tap0".to_owned())));
        assert_eq!("none".parse(), Ok(Network::None));
        assert_eq!("peer=/tmp/link".parse(), Ok(Network::Peer("/tmp/link".into())));
        assert_eq!("user=passt".parse(), Ok(Network::user(Backend::Passt)));
        for text in ["tap=", "peer=", "user=slirp", "tap=a,script=x", "bridge", "tap=averyveryverylongname"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let address: Address = "10.1.2.3/20".parse().unwrap();
        assert_eq!(address.network(), Ipv4Addr::new(10, 1, 0, 0));
        assert!("10.0.0.1".parse::<Address>().is_err());
        assert!("10.0.0.1/33".parse::<Address>().is_err());
    }
}

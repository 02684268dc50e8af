//! What a guest that runs as a process finds under the number of its network, and who works behind it.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use abi::hosted::{MTU_OPTION, NETWORK_OPTION, network as kind};

use super::passt::{self, Passt, PasstError};
use super::peer::{self, Peer};
use super::{tap, text};
use crate::command_line::CommandLine;
use crate::forwarder::{self, Forwarder, Place};
use crate::network::{Address, Backend, Network, NetworkError, UserNetwork};

/// Address of a guest on a user network, unless the user gives another: as QEMU's user network has it.
const GUEST: Address = Address { ip: Ipv4Addr::new(10, 0, 2, 15), prefix: 24 };
/// The gateway there.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
pub enum PlugError {
    /// Ports or addresses that cannot be had.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A tap interface cannot be had.
    #[error(
        "the tap interface {name} cannot be had: {cause}; make it by `ip tuntap add {name} mode tap user $USER`"
    )]
    Tap {
        /// Its name.
        name: String,
        /// What the host said.
        cause: io::Error,
    },
    /// Nobody listens.
    #[error("nobody listens at {}: {cause}", path.display())]
    Stream {
        /// Where.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// The other guest is not to be found.
    #[error("no link to another guest at {}: {cause}", path.display())]
    Peer {
        /// Where.
        path: PathBuf,
        /// What the host said.
        cause: io::Error,
    },
    /// passt was asked for and does not run.
    #[error(transparent)]
    Passt(#[from] PasstError),
    /// The host refuses sockets.
    #[error("cannot make a network for the guest: {0}")]
    Host(#[from] io::Error),
}

/// Who carries a guest's packets on this side, until it is dropped, when the guest has gone.
pub(crate) trait Companion: fmt::Debug + Send {}

impl Companion for Forwarder {}
impl Companion for Passt {}
impl Companion for Peer {}

/// A network, plugged in.
#[derive(Debug)]
pub(super) struct Plug {
    /// What the guest is given.
    pub(super) socket: Option<OwnedFd>,
    /// What it is told about it.
    pub(super) words: CommandLine,
    /// The network, with the ports that were found.
    pub(super) network: Network,
    /// Who works behind it.
    pub(super) companion: Option<Box<dyn Companion>>,
}

/// Says in a word or two what the packets of a hosted guest go through.
#[must_use]
pub fn describe(network: &Network) -> &'static str {
    match network {
        Network::None => "no network",
        Network::Tap(_) => "a tap interface",
        Network::Stream(_) => "a stream socket",
        Network::Lockstep(_) => "a simulated network",
        Network::Peer(_) => "a link to another guest",
        Network::User(user) => match chosen(user.backend, || passt::find().is_ok()) {
            Backend::Passt => "passt",
            Backend::Auto | Backend::Forwarder => "the forwarder: published ports only",
        },
    }
}

/// Plugs a guest whose command line is `line` into `network`.
pub(super) fn plug(network: &Network, line: &CommandLine) -> Result<Plug, PlugError> {
    let plugged = |socket, kind, companion: Option<Box<dyn Companion>>| Plug {
        socket: Some(socket),
        words: kind_word(kind),
        network: network.clone(),
        companion,
    };
    match network {
        Network::None => {
            Ok(Plug { socket: None, words: CommandLine::new(), network: Network::None, companion: None })
        }
        Network::Tap(name) => {
            let failed = |cause| PlugError::Tap { name: name.clone(), cause };
            Ok(plugged(tap::open(name).map_err(failed)?, kind::TAP, None))
        }
        Network::Stream(path) => {
            let failed = |cause| PlugError::Stream { path: path.clone(), cause };
            Ok(plugged(UnixStream::connect(path).map_err(failed)?.into(), kind::STREAM, None))
        }
        // Nobody on this side may hold the guest's end: that it is closed says that the guest has gone.
        Network::Lockstep(socket) => Ok(Plug {
            socket: Some(socket.descriptor()?),
            words: kind_word(kind::LOCKSTEP),
            network: Network::None,
            companion: None,
        }),
        Network::Peer(path) => {
            let failed = |cause| PlugError::Peer { path: path.clone(), cause };
            let (socket, peer) = peer::join(path).map_err(failed)?;
            Ok(plugged(socket, kind::PACKETS, Some(Box::new(peer))))
        }
        Network::User(user) => plug_user(user, line),
    }
}

fn kind_word(kind: &'static [u8]) -> CommandLine {
    CommandLine::new().word(&format!("{}{}", text(NETWORK_OPTION), text(kind)))
}

fn mtu_word(mtu: u16) -> String {
    format!("{}{mtu}", text(MTU_OPTION))
}

/// Decides who carries packets; `passt_works` is asked only where it matters.
fn chosen(backend: Backend, passt_works: impl FnOnce() -> bool) -> Backend {
    match backend {
        Backend::Auto if passt_works() => Backend::Passt,
        Backend::Auto => Backend::Forwarder,
        named => named,
    }
}

fn plug_user(user: &UserNetwork, line: &CommandLine) -> Result<Plug, PlugError> {
    user.check()?;
    let place = place(user);
    match chosen(user.backend, || passt::find().is_ok()) {
        Backend::Passt => match plug_passt(user, place, line) {
            // What was left to us may be done in the other way.
            Err(PlugError::Passt(reason)) if user.backend == Backend::Auto => {
                eprintln!("metaos: {reason}; published ports are forwarded by this program");
                plug_forwarder(user, place, line)
            }
            result => result,
        },
        Backend::Auto | Backend::Forwarder => plug_forwarder(user, place, line),
    }
}

fn place(user: &UserNetwork) -> Place {
    let guest = user.address.unwrap_or(GUEST);
    let first = Ipv4Addr::from(u32::from(guest.network()) | 1);
    let usual = if guest.is_neighbour(GATEWAY) { GATEWAY } else { first };
    Place { guest, gateway: user.gateway.unwrap_or(usual) }
}

fn plug_passt(user: &UserNetwork, place: Place, line: &CommandLine) -> Result<Plug, PlugError> {
    let mut user = user.clone();
    for forward in &mut user.forwards {
        *forward = forward.with_free_port()?;
    }
    let (ours, theirs) = UnixStream::pair()?;
    let mut words = address_words(place, line);
    if !line.has_option("net.ip") && !line.has_option("net.dns") {
        words = words.option("net.dns", passt::name_server(place));
    }
    let passt = Passt::start(ours.into(), &user.forwards, place)?;
    Ok(Plug {
        socket: Some(theirs.into()),
        words: kind_word(kind::STREAM).word(&mtu_word(passt::MTU)).preceded_by(words),
        network: Network::User(user),
        companion: Some(Box::new(passt)),
    })
}

fn plug_forwarder(user: &UserNetwork, place: Place, line: &CommandLine) -> Result<Plug, PlugError> {
    let (ours, theirs) = forwarder::socket_pair()?;
    let (forwards, listeners) = forwarder::listen(&user.forwards)?;
    let forwarder = Forwarder::start(ours, listeners, place)?;
    let words = kind_word(kind::PLAIN_PACKETS).word(&mtu_word(forwarder::MTU));
    let words = words.preceded_by(address_words(place, line));
    Ok(Plug {
        socket: Some(theirs),
        words,
        network: Network::User(UserNetwork { forwards, ..user.clone() }),
        companion: Some(Box::new(forwarder)),
    })
}

/// Tells the guest its address unless the user did. The forwarder does not answer DHCP, and passt's answer would come
/// after the first client.
fn address_words(place: Place, line: &CommandLine) -> CommandLine {
    if line.has_option("net.ip") {
        return CommandLine::new();
    }
    let words = CommandLine::new().option("net.ip", place.guest);
    if line.has_option("net.gw") { words } else { words.option("net.gw", place.gateway) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passt_is_taken_where_it_works_and_nothing_else_was_asked_for() {
        assert_eq!(chosen(Backend::Auto, || true), Backend::Passt);
        assert_eq!(chosen(Backend::Auto, || false), Backend::Forwarder);
        assert_eq!(chosen(Backend::Passt, || false), Backend::Passt);
        assert_eq!(chosen(Backend::Forwarder, || true), Backend::Forwarder);
    }

    #[test]
    fn the_gateway_lies_in_the_guests_network() {
        let place = |address: Option<&str>| {
            let address = address.map(|text| text.parse().unwrap());
            place(&UserNetwork { address, ..UserNetwork::default() })
        };
        assert_eq!(place(None), Place { guest: GUEST, gateway: GATEWAY });
        assert_eq!(place(Some("10.7.3.9/24")).gateway, Ipv4Addr::new(10, 7, 3, 1));
        assert_eq!(place(Some("10.0.2.99/24")).gateway, GATEWAY);
    }

    #[test]
    fn a_guest_behind_the_forwarder_is_told_its_address_unless_the_user_did() {
        let user = UserNetwork { backend: Backend::Forwarder, ..UserNetwork::default() };
        let words =
            |line: &CommandLine| plug(&Network::User(user.clone()), line).unwrap().words.render().unwrap();
        assert_eq!(
            words(&CommandLine::new()),
            "net.ip=10.0.2.15/24 net.gw=10.0.2.2 metaos.network=plain-packets metaos.mtu=65535"
        );
        assert!(!words(&CommandLine::new().option("net.ip", "10.0.2.7/24")).contains("net."));
    }
}

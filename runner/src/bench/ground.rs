//! The network that guests and clients meet on: a tap interface in a network namespace of the benchmark's own, or
//! QEMU's user network where that may not be.
//!
//! The namespace is entered by this process itself, before its first thread, and QEMU and the clients inherit it.
//! Nobody outside sees it and it vanishes with its last process. Root has one; others get one by a user namespace,
//! where the system allows them.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use crate::machine::{Machine, arguments};
use crate::network::{Address, Forward, Network, Protocol, UserNetwork};
use crate::qemu::find_program;

/// The tap interface.
const INTERFACE: &str = "tap0";
const TAP_HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const TAP_GUEST: Address = Address { ip: Ipv4Addr::new(10, 9, 0, 2), prefix: 24 };
/// QEMU's own choice of addresses on its user network.
const USER_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const USER_GUEST: Address = Address { ip: Ipv4Addr::new(10, 0, 2, 15), prefix: 24 };
/// What tap interfaces are made with.
const TUN: &str = "/dev/net/tun";

/// Which network is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// Tap if it may be, the user network otherwise.
    #[default]
    Auto,
    /// Tap in a namespace.
    Tap,
    /// QEMU's user network.
    User,
}

/// Why there is no tap interface.
#[derive(Debug, thiserror::Error)]
pub enum GroundError {
    /// The program that sets it up is missing.
    #[error("a tap network takes the program `ip`; install iproute2, or choose --net user")]
    NoProgram,
    /// The device is missing or closed.
    #[error("a tap network takes {TUN}: {0}; run as root, or choose --net user")]
    NoDevice(io::Error),
    /// No namespace may be made.
    #[error(
        "a tap network takes a network namespace: {0}; run as root, allow user namespaces, or choose --net user"
    )]
    NoNamespace(io::Error),
    /// A step failed.
    #[error("`ip {step}` failed: {message}")]
    Step {
        /// What `ip` was asked.
        step: String,
        /// What it said.
        message: String,
    },
}

/// The network that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ground {
    /// Tap in a namespace.
    Tap,
    /// QEMU's user network.
    User,
}

impl Ground {
    /// Moves this process onto the network asked for. The second value says why it is not tap, if that was preferred.
    pub(super) fn enter(choice: Choice) -> Result<(Self, Option<GroundError>), GroundError> {
        let refusal = match choice {
            Choice::User => return Ok((Self::User, None)),
            Choice::Auto | Choice::Tap => enter_namespace().err(),
        };
        match refusal {
            None => furnish().map(|()| (Self::Tap, None)),
            Some(refusal) if choice == Choice::Auto => Ok((Self::User, Some(refusal))),
            Some(refusal) => Err(refusal),
        }
    }

    /// Returns what a machine is plugged into so that `ports` of it are reached.
    pub(super) fn network(self, ports: &[(Protocol, u16)]) -> Network {
        let forward = |(protocol, port): &(Protocol, u16)| match protocol {
            Protocol::Tcp => Forward::tcp(0, *port),
            Protocol::Udp => Forward::udp(0, *port),
        };
        match self {
            Self::Tap => Network::Tap(INTERFACE.to_owned()),
            Self::User => Network::User(UserNetwork {
                forwards: ports.iter().map(forward).collect(),
                ..UserNetwork::default()
            }),
        }
    }

    /// Returns the guest's address and its gateway.
    pub(super) fn guest(self) -> (Address, Ipv4Addr) {
        match self {
            Self::Tap => (TAP_GUEST, TAP_HOST),
            Self::User => (USER_GUEST, USER_HOST),
        }
    }

    /// Returns where a client reaches a port of `machine`.
    pub(super) fn reach(self, machine: &Machine, protocol: Protocol, port: u16) -> Option<SocketAddr> {
        match self {
            Self::Tap => Some((TAP_GUEST.ip, port).into()),
            Self::User => {
                let is_it = |forward: &&Forward| forward.protocol == protocol && forward.guest_port == port;
                let forward = machine.forwards().iter().find(is_it)?;
                Some((IpAddr::V4(forward.host_address), forward.host_port).into())
            }
        }
    }

    /// Says in words what it is.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Tap => "tap in a network namespace, permanent neighbour entry",
            Self::User => "QEMU user network (no root): no offloads, figures are not those of a real network",
        }
    }
}

/// Everything that may be refused is asked for here, before anything has changed.
fn enter_namespace() -> Result<(), GroundError> {
    find_program("ip").ok_or(GroundError::NoProgram)?;
    OpenOptions::new().read(true).write(true).open(TUN).map_err(GroundError::NoDevice)?;
    let refused = |error: nix::errno::Errno| GroundError::NoNamespace(error.into());
    if rustix::process::geteuid().is_root() {
        return unshare(CloneFlags::CLONE_NEWNET).map_err(refused);
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(refused)?;
    // In this order: a group may only be mapped by who has given up setting groups (user_namespaces(7)).
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {user} 1")),
        ("gid_map", format!("0 {group} 1")),
    ];
    maps.iter()
        .try_for_each(|(name, text)| fs::write(format!("/proc/self/{name}"), text))
        .map_err(GroundError::NoNamespace)
}

fn furnish() -> Result<(), GroundError> {
    let guest = TAP_GUEST.ip;
    let address = arguments::tap_hardware_address(INTERFACE);
    // Without the permanent entry the host would ask for the guest before it is there, and again a second later.
    let steps = [
        "link set lo up".to_owned(),
        format!("tuntap add {INTERFACE} mode tap"),
        format!("addr add {TAP_HOST}/{} dev {INTERFACE}", TAP_GUEST.prefix),
        format!("link set {INTERFACE} up"),
        format!("neigh replace {guest} lladdr {address} dev {INTERFACE} nud permanent"),
    ];
    steps.iter().try_for_each(|step| ip(step))
}

fn ip(step: &str) -> Result<(), GroundError> {
    let failed = |message: String| GroundError::Step { step: step.to_owned(), message };
    let output = Command::new("ip").args(step.split(' ')).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

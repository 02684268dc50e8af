//! passt: a program that joins a guest to this host's sockets without any rights (<https://passt.top>).
//!
//! It is given one end of a stream socket and ends when the other is closed. The guest sees the network that QEMU's
//! user network shows: the same address, gateway and name server.

use std::fs;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::forwarder::Place;
use crate::machine::Process;
use crate::network::{Forward, Protocol};
use crate::qemu::find_program;

/// Name of the program.
const PROGRAM: &str = "passt";
/// Number under which it finds its end of the socket.
const SOCKET: i32 = 3;
/// Longest IP packet that it takes: what its own DHCP server tells guests.
pub(super) const MTU: u16 = 65_520;
/// Longest wait for its ports; it needs some milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of its complaints that are kept.
const MOST_COMPLAINTS: u64 = 4096;
const POLL: Duration = Duration::from_micros(500);
/// The state of a socket that listens, and of one for datagrams, in the kernel's tables (`proc(5)`).
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";
/// Host of the guest's network at which its name server is, as on QEMU's user network.
const NAME_SERVER: u32 = 3;

/// Why passt does not carry a guest's packets.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasstError {
    /// It is not installed.
    #[error("passt is not installed; install the package passt, or choose --net user=forwarder")]
    Missing,
    /// It refuses to run on a host that is alone.
    #[error("passt needs a default route on this host; choose --net user=forwarder")]
    NoRoute,
    /// It does not run.
    #[error("passt does not run: {0}")]
    Failed(String),
}

/// A running passt.
#[derive(Debug)]
pub(crate) struct Passt {
    process: Process,
    /// Reads its complaints: one that finds nobody to read them ends.
    listener: Option<JoinHandle<String>>,
}

/// Returns passt's path, if it can be used here.
///
/// # Errors
///
/// It is not installed, or would not run.
pub fn find() -> Result<PathBuf, PasstError> {
    let program = find_program(PROGRAM).ok_or(PasstError::Missing)?;
    let routes = fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
    if has_default_route(&routes) { Ok(program) } else { Err(PasstError::NoRoute) }
}

impl Passt {
    /// Starts it at `socket` and waits until the ports are published.
    pub(super) fn start(socket: OwnedFd, forwards: &[Forward], place: Place) -> Result<Self, PasstError> {
        let failed = |cause: io::Error| PasstError::Failed(cause.to_string());
        let mut command = Command::new(find()?);
        command.args(arguments(forwards, place));
        let (process, errors) = Process::start(command, vec![(socket, SOCKET)]).map_err(failed)?;
        let listener = errors.map(|stream| thread::spawn(move || complaints(stream)));
        let mut passt = Self { process, listener };
        let deadline = Instant::now() + PATIENCE;
        while !forwards.iter().all(is_published) {
            let has_ended = passt.process.wait(Duration::ZERO).map_err(failed)?.is_some();
            if has_ended || Instant::now() > deadline {
                return Err(PasstError::Failed(passt.end().trim().to_owned()));
            }
            thread::sleep(POLL);
        }
        Ok(passt)
    }

    /// Ends it and returns what it complained about.
    fn end(&mut self) -> String {
        self.process.kill();
        self.listener.take().and_then(|listener| listener.join().ok()).unwrap_or_default()
    }
}

impl Drop for Passt {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reads to the end and returns the beginning.
fn complaints(mut stream: impl Read) -> String {
    let mut text = Vec::new();
    drop(stream.by_ref().take(MOST_COMPLAINTS).read_to_end(&mut text));
    drop(io::copy(&mut stream, &mut io::sink()));
    String::from_utf8_lossy(&text).into_owned()
}

/// Returns the address at which passt answers names.
pub(super) fn name_server(place: Place) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(place.guest.network()) | NAME_SERVER)
}

fn arguments(forwards: &[Forward], place: Place) -> Vec<String> {
    let name_server = name_server(place).to_string();
    let socket = SOCKET.to_string();
    let (ip, prefix) = (place.guest.ip.to_string(), place.guest.prefix.to_string());
    let gateway = place.gateway.to_string();
    let mut words = vec!["--foreground", "--quiet", "--fd", &socket];
    words.extend(["--address", &ip, "--netmask", &prefix, "--gateway", &gateway]);
    words.extend(["--dns", &name_server, "--dns-forward", &name_server]);
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    for Forward { protocol, host_address, host_port, guest_port } in forwards {
        let option = match protocol {
            Protocol::Tcp => "--tcp-ports",
            Protocol::Udp => "--udp-ports",
        };
        words.extend([option.to_owned(), format!("{host_address}/{host_port}:{guest_port}")]);
    }
    words
}

/// Tells whether somebody listens where `forward` wants it.
fn is_published(forward: &Forward) -> bool {
    let (table, state) = match forward.protocol {
        Protocol::Tcp => ("tcp", LISTENS),
        Protocol::Udp => ("udp", UNCONNECTED),
    };
    let table = fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
    listens(&table, state, forward)
}

/// Looks into a table of sockets: the second word of a line is the local address, the fourth the state.
fn listens(table: &str, state: &str, forward: &Forward) -> bool {
    let address = u32::from_ne_bytes(forward.host_address.octets());
    let place = format!("{address:08X}:{:04X}", forward.host_port);
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        words.get(1) == Some(&place.as_str()) && words.get(3) == Some(&state)
    })
}

/// Looks into the table of routes: the second word of a line is the destination, the last but three its mask.
fn has_default_route(routes: &str) -> bool {
    routes.lines().any(|line| line.split_whitespace().nth(1) == Some("00000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_sees_the_network_that_qemu_shows() {
        let place = Place { guest: "10.0.2.15/24".parse().unwrap(), gateway: Ipv4Addr::new(10, 0, 2, 2) };
        let words = arguments(&[Forward::tcp(8080, 80), Forward::udp(53, 53)], place).join(" ");
        assert_eq!(
            words,
            "--foreground --quiet --fd 3 --address 10.0.2.15 --netmask 24 --gateway 10.0.2.2 --dns 10.0.2.3 \
             --dns-forward 10.0.2.3 --tcp-ports 127.0.0.1/8080:80 --udp-ports 127.0.0.1/53:53"
        );
    }

    #[test]
    fn a_port_is_published_when_the_kernel_says_that_somebody_listens_there() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                     1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000\n";
        assert!(listens(table, LISTENS, &Forward::tcp(8080, 80)));
        assert!(!listens(table, LISTENS, &Forward::tcp(8081, 80)));
        let everywhere = Forward { host_address: Ipv4Addr::UNSPECIFIED, ..Forward::tcp(8080, 80) };
        assert!(!listens(table, LISTENS, &everywhere));
    }

    #[test]
    fn a_default_route_is_recognised() {
        let routes = "Iface\tDestination\tGateway\neth0\t00000000\t010200C0\n";
        assert!(has_default_route(routes));
        assert!(!has_default_route("Iface\tDestination\tGateway\neth0\t000200C0\t00000000\n"));
    }
}

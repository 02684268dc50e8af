//! IPv6 of whole guests, against the host's Linux on a tap interface.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metaos_tests::namespace::{self, INTERFACE};
use metaos_tests::pattern::{first_fault, pattern};
use metaos_tests::program;
use metaos_tests::server::{stop_well, wait_until_serving};
use runner::{Machine, MachineConfig, Network};

const HOST: &str = "fd09::1/64";
const GUEST: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2);
const START: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn curl_gets_pages_at_a_given_address_and_at_both_versions() {
    on_tap(|| {
        let machine = start("http", &[("net.ip6", "fd09::2/64"), ("net.ip", "10.9.0.2/24")]);
        assert!(wait_until_serving((GUEST, 80).into(), START, || false).is_some(), "{}", machine.console());
        let on_the_wire = format!("http://[{}%25{INTERFACE}]/", address_in(0xfe80, &machine));
        for url in ["http://[fd09::2]/", "http://10.9.0.2/", &on_the_wire] {
            assert!(curl(url).starts_with(b"Hello"), "{url}");
        }
        assert_eq!(curl("http://[fd09::2]/bytes/3000000").len(), 3_000_000);
        let refused = TcpStream::connect_timeout(&(GUEST, 81).into(), PATIENCE).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        stop_well(machine);
    });
}

#[test]
fn a_router_gives_the_guest_its_address() {
    on_tap(|| {
        let machine = start("http", &[]);
        let advertising = Advertising::start();
        let own = address_in(0xfd09, &machine);
        assert!(wait_until_serving((own, 80).into(), START, || false).is_some(), "{}", machine.console());
        assert!(curl(&format!("http://[{own}]/")).starts_with(b"Hello"));
        drop(advertising);
        stop_well(machine);
    });
}

#[test]
fn datagrams_come_back_and_a_closed_port_refuses_them() {
    on_tap(|| {
        let machine = start("echo", &[("net.ip6", "fd09::2/64"), ("net.ip", "10.9.0.2/24")]);
        let socket = socket((GUEST, 7).into());
        for length in [0, 1, 512, 1452] {
            let sent = pattern(length);
            let back = ask(&socket, &sent).unwrap_or_else(|| panic!("no answer of {length} bytes"));
            assert_eq!((back.len(), first_fault(&back)), (length, None));
        }
        for closed in [(GUEST, 9).into(), "10.9.0.2:9".parse().expect("it is an address")] {
            let socket = self::socket(closed);
            socket.send(b"anyone?").expect("the host sends");
            let error = socket.recv(&mut [0; 16]).expect_err("nobody has the port");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{closed}");
        }
        stop_well(machine);
    });
}

/// What does not fit one packet comes to the guest in pieces, and goes in pieces, which Linux puts together.
#[test]
fn datagrams_in_pieces_reach_their_socket_both_ways() {
    on_tap(|| {
        let machine = start("echo", &[("net.ip6", "fd09::2/64"), ("net.ip", "10.9.0.2/24")]);
        // Pieces are made of what fits the interface; the guest's own packets are bound to 1500 bytes.
        namespace::ip(&format!("link set {INTERFACE} mtu 1280"));
        for address in [(GUEST, 7).into(), "10.9.0.2:7".parse().expect("it is an address")] {
            let socket = socket(address);
            assert!(ask(&socket, b"there?").is_some(), "{address}: {}", machine.console());
            for length in [1400, 1473, 4000, 30_000, 65_507] {
                let sent = pattern(length);
                let back = ask(&socket, &sent).unwrap_or_else(|| panic!("no {length} bytes from {address}"));
                assert_eq!((back.len(), first_fault(&back)), (length, None));
            }
        }
        stop_well(machine);
    });
}

/// Tells the guest of a network until it is dropped: raw ICMPv6 by the host's own kernel.
struct Advertising(std::process::Child);

impl Advertising {
    fn start() -> Self {
        let program = format!(
            "import socket,struct,time\n\
             s=socket.socket(socket.AF_INET6,socket.SOCK_RAW,58)\n\
             i=socket.if_nametoindex('{INTERFACE}')\n\
             s.setsockopt(41,18,255)\n\
             s.setsockopt(41,17,i)\n\
             m=struct.pack('!BBHBBHII',134,0,0,64,0,1800,0,0)\n\
             m+=struct.pack('!BBBBIII',3,4,64,0xc0,3600,3600,0)+socket.inet_pton(10,'fd09::')\n\
             while True:\n\x20   s.sendto(m,('ff02::1',0,0,i)); time.sleep(0.2)\n"
        );
        Self(Command::new("python3").args(["-c", &program]).spawn().expect("python3 is installed"))
    }
}

impl Drop for Advertising {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has seen then.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn on_tap(test: impl Fn() + Sync) {
    namespace::run(|| {
        namespace::ip(&format!("-6 addr add {HOST} dev {INTERFACE} nodad"));
        test();
    });
}

fn start(program: &str, options: &[(&str, &str)]) -> Machine {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut config: MachineConfig = program::machine(directory, program, &[]);
    for (name, value) in options {
        let line = std::mem::take(&mut config.command_line);
        config.command_line = line.option(name, value);
    }
    config.network = Network::Tap(INTERFACE.to_owned());
    Machine::start(&config).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the address that the machine's Ethernet address gives in the network with this first word.
fn address_in(network: u16, machine: &Machine) -> Ipv6Addr {
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", machine.process_id())).expect("it runs");
    let (_, rest) = line.split_once(",mac=").expect("the card of a tap has an address");
    let bytes: Vec<u16> =
        rest[..17].split(':').map(|byte| u16::from_str_radix(byte, 16).expect("hex")).collect();
    let [a, b, c, d, e, f] = bytes[..] else { panic!("six bytes: {bytes:?}") };
    Ipv6Addr::new(network, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f)
}

fn socket(peer: SocketAddr) -> UdpSocket {
    let own: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(own).expect("the host has a free port");
    socket.connect(peer).expect("a datagram socket connects to anything");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time limit above zero is taken");
    socket
}

/// Sends until something of that length comes back, as datagrams may get lost and the guest may not listen yet.
fn ask(socket: &UdpSocket, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut back = vec![0; 1 << 16];
    for _ in 0..100 {
        if socket.send(bytes).is_ok()
            && let Ok(length) = socket.recv(&mut back)
            && length == bytes.len()
        {
            back.truncate(length);
            return Some(back);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

fn curl(url: &str) -> Vec<u8> {
    let words = ["--silent", "--show-error", "--globoff", "--max-time", "20", url];
    let output = Command::new("curl").args(words).output().expect("curl is installed");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

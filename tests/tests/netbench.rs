//! `netbench` measures itself: each workload, from a client in one machine to the server in another.
//!
//! They meet on the host: the server's ports are published there, and QEMU's user network has the host as a neighbour.
//! What is checked is that all is counted and nothing is lost that may not be; how fast it goes is not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use metaos_tests::program;
use metaos_tests::server::stop_well;
use runner::{Forward, Machine, Network, UserNetwork};

/// The port of the first service in the guest, and how many there are.
const BASE: u16 = 5201;
const SERVICES: u16 = 5;
/// Those of them that are served over UDP as well.
const DATAGRAM_SERVICES: u16 = 3;
/// Where QEMU's user network has the host.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Longest wait for a measurement, or for the server's start.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// A machine that serves, and its ports on the host, which lie side by side as the guest's do.
struct Server {
    machine: Machine,
    base: u16,
}

/// What a client printed.
#[derive(Debug)]
struct Figures {
    operations: u64,
    lost: u64,
    bytes: u64,
}

#[test]
fn every_workload_counts_what_it_moves() {
    let server = Server::start();
    let fifty = ["--count", "50"];
    let asked = server.measure("tcp-rr", &[fifty]);
    assert_eq!((asked.operations, asked.lost, asked.bytes), (50, 0, 50));
    let asked = server.measure("tcp-rr", &[fifty, ["--size", "3000"]]);
    assert_eq!((asked.operations, asked.lost, asked.bytes), (50, 0, 150_000));
    let connected = server.measure("connect", &[fifty]);
    assert_eq!((connected.operations, connected.bytes), (50, 0));
    for workload in ["tcp-send", "tcp-receive"] {
        let moved = server.measure(workload, &[["--count", "4194305"]]);
        assert_eq!((moved.operations, moved.bytes), (1, 4_194_305), "{workload}");
    }
    let asked = server.measure("udp-rr", &[fifty]);
    assert_eq!((asked.operations + asked.lost, asked.bytes), (50, asked.operations * 64));
    for workload in ["udp-send", "udp-receive"] {
        let moved = server.measure(workload, &[["--count", "2000"], ["--size", "512"]]);
        let all = if workload == "udp-send" { moved.operations } else { moved.operations + moved.lost };
        assert_eq!((all, moved.bytes), (2000, moved.operations * 512), "{workload}: {moved:?}");
        assert!(moved.lost < 2000, "{workload}: none comes");
    }
    stop_well(server.machine);
}

#[test]
fn many_connections_are_echoed_side_by_side() {
    let server = Server::start();
    let mut streams: Vec<TcpStream> = (0..100).map(|_| server.connect_well()).collect();
    for round in 0..3_u8 {
        for (stream, index) in streams.iter_mut().zip(0_u8..) {
            stream.write_all(&[round, index]).expect("the server reads");
        }
        for (stream, index) in streams.iter_mut().zip(0_u8..) {
            let mut back = [0; 2];
            stream.read_exact(&mut back).expect("the server answers");
            assert_eq!(back, [round, index]);
        }
    }
    let open = server.figures("open");
    assert_eq!(open, 100);
    drop(streams);
    let deadline = Instant::now() + PATIENCE;
    while server.figures("open") > 0 {
        assert!(Instant::now() < deadline, "connections are left open");
        thread::sleep(PAUSE);
    }
    stop_well(server.machine);
}

/// More than fits into all buffers on the way, sent before anything is read.
#[test]
fn an_echo_that_is_read_late_comes_whole() {
    let server = Server::start();
    let mut stream = server.connect(0);
    let sent: Vec<u8> = (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect();
    thread::scope(|scope| {
        let mut writer = stream.try_clone().expect("a connection can be shared");
        let sent = &sent;
        scope.spawn(move || {
            writer.write_all(sent).expect("the guest reads");
            writer.shutdown(Shutdown::Write).expect("it is open");
        });
        thread::sleep(Duration::from_millis(300));
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("the guest answers");
        assert!(back == *sent, "{} of {} bytes came, or others", back.len(), sent.len());
    });
    stop_well(server.machine);
}

#[test]
fn wrong_use_is_explained() {
    let cases: [(&[&str], &str); 5] = [
        (&["client"], "the workload is missing"),
        (&["client", "tcp-rr"], "the server to measure is missing"),
        (&["client", "smtp", "host"], "there is no workload smtp"),
        (&["client", "udp-rr", "host", "--size", "1473"], "cannot have 1473 bytes"),
        (&["server", "--port", "65532"], "there are no five ports from 65532 on"),
    ];
    for (words, message) in cases {
        let machine = Machine::start(&program::machine(directory(), "netbench", words));
        let outcome = machine.and_then(|machine| machine.wait(PATIENCE)).expect("it ends by itself");
        assert_eq!(outcome.status, 2, "{words:?}: {}", outcome.console);
        assert!(outcome.console.contains(message), "{words:?}: {}", outcome.console);
        assert!(outcome.console.contains("usage: netbench"), "{words:?}: {}", outcome.console);
    }
}

impl Server {
    fn start() -> Self {
        let base = free_ports();
        let tcp = (0..SERVICES).map(|index| Forward::tcp(base + index, BASE + index));
        let udp = (0..DATAGRAM_SERVICES).map(|index| Forward::udp(base + index, BASE + index));
        let mut config = program::machine(directory(), "netbench", &[]);
        let forwards = tcp.chain(udp).collect();
        config.network = Network::User(UserNetwork { forwards, ..UserNetwork::default() });
        let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
        let is_up = machine.wait_for_console("serving on ports 5201 to 5205", PATIENCE);
        assert!(is_up, "the server does not start:\n{}", machine.console());
        Self { machine, base }
    }

    /// Measures one workload from another machine.
    fn measure(&self, workload: &str, options: &[[&str; 2]]) -> Figures {
        let address = format!("{HOST}:{}", self.base);
        let words = [&["client", workload, &address][..], options.as_flattened()].concat();
        let mut config = program::machine(directory(), "netbench", &words);
        config.network = Network::User(UserNetwork::default());
        let machine = Machine::start(&config).unwrap_or_else(|error| panic!("{error}"));
        let outcome = machine.wait(PATIENCE).unwrap_or_else(|error| panic!("{workload}: {error}"));
        println!("{}", outcome.console);
        assert_eq!(outcome.status, 0, "{workload}: {}", outcome.console);
        let start = format!("netbench: {workload} ");
        let line = outcome.console.lines().find_map(|line| line.strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("{workload}: no result in {}", outcome.console));
        Figures {
            operations: figure(line, "operations"),
            lost: figure(line, "lost"),
            bytes: figure(line, "bytes"),
        }
    }

    /// Asks the server itself for one of its figures.
    fn figures(&self, name: &str) -> u64 {
        let mut text = String::new();
        self.connect(4).read_to_string(&mut text).expect("the server tells its figures");
        figure(&text, name)
    }

    /// Connects to echo and waits for the first byte: QEMU's user network takes connections one by one, and who comes
    /// too soon waits for a second.
    fn connect_well(&self) -> TcpStream {
        let mut stream = self.connect(0);
        stream.write_all(b"n").expect("the server reads");
        stream.read_exact(&mut [0]).expect("the server answers");
        stream
    }

    fn connect(&self, service: u16) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.base + service));
        let stream = stream.expect("the port is published");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit above zero is taken");
        stream
    }
}

fn figure(line: &str, name: &str) -> u64 {
    let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Returns the first of as many ports as there are services, all of them free on this host. Somebody else may take one
/// before QEMU does: QEMU then says so.
fn free_ports() -> u16 {
    let is_free = |base: &u16| {
        (0..SERVICES).all(|index| {
            let address = (Ipv4Addr::LOCALHOST, base + index);
            TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
        })
    };
    let place = u16::try_from(std::process::id() % 2000).expect("it is below 2000");
    let mut bases = (0..2000).map(|step| 20_000 + (place + step * 7) % 2000 * SERVICES);
    bases.find(is_free).expect("of ten thousand ports five are free")
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

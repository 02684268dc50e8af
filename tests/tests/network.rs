//! What clients get from the guest's network, and what bad ones cannot do to it, be it a machine or a Linux process.
//!
//! Most tests use QEMU's user network, which needs no rights. What that network would hide or answer by itself is
//! looked at on a tap interface in a namespace of the test's own, or on a cable that the test holds.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use metaos_tests::cable;
use metaos_tests::client::{Client, request};
use metaos_tests::echo::Echo;
use metaos_tests::namespace::{self, GUEST, HOST};
use metaos_tests::pattern::{checksum, first_fault, pattern};
use metaos_tests::peer::Peer;
use metaos_tests::program::{self, PLACES};
use metaos_tests::server::{Server, stop_well};
use runner::{Forward, MachineConfig, Network, UserNetwork};

const MIB: usize = 1 << 20;
/// Longest wait for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(10);

/// A machine asks for the address by DHCP, a process is told.
#[test]
fn curl_gets_a_page_at_the_usual_address() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        let page = curl(&[&server.url("/")]);
        assert!(page.contains("Hello"), "{page}");
        let head = curl(&["--head", &server.url("/bytes/1000")]);
        assert!(head.contains("Content-Length: 1000"), "{head}");
        let missing =
            curl(&["--output", "/dev/null", "--write-out", "%{http_code}", &server.url("/missing")]);
        assert_eq!(missing, "404");
        server.stop_well();
    }
}

#[test]
fn curl_gets_a_page_at_a_fixed_address() {
    for place in PLACES {
        let mut config = program::guest(directory(), place, "http", &[]);
        let line = std::mem::take(&mut config.command_line);
        config.command_line = line.option("net.ip", "10.7.3.9/24").option("net.gw", "10.7.3.1");
        config.network = Network::User(UserNetwork {
            address: Some("10.7.3.9/24".parse().expect("it is an address")),
            gateway: Some(Ipv4Addr::new(10, 7, 3, 1)),
            ..UserNetwork::default()
        });
        let server = Server::publish(config);
        assert!(curl(&[&server.url("/")]).contains("Hello"));
        server.stop_well();
    }
}

#[test]
fn curl_gets_a_page_over_a_tap_interface() {
    for place in PLACES {
        namespace::run(|| {
            let server = Server::plug_in(program::guest(directory(), place, "http", &[]));
            assert!(curl(&[&server.url("/")]).contains("Hello"));
            server.stop_well();
        });
    }
}

#[test]
fn another_port_is_served_if_asked_for() {
    for place in PLACES {
        let mut config = program::guest(directory(), place, "http", &["--port", "8081"]);
        config.network =
            Network::User(UserNetwork { forwards: vec![Forward::tcp(0, 8081)], ..UserNetwork::default() });
        let server = Server::start(&config);
        server.assert_serves();
        server.stop_well();
    }
}

#[test]
fn wrk_meets_no_error_on_the_user_network() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        assert_wrk_is_served(&server, 8);
        server.stop_well();
    }
}

#[test]
fn wrk_meets_no_error_over_a_tap_interface() {
    for place in PLACES {
        namespace::run(|| {
            let server = Server::plug_in(program::guest(directory(), place, "http", &[]));
            assert_wrk_is_served(&server, 64);
            server.stop_well();
        });
    }
}

#[test]
fn sixty_four_mebibytes_come_out_whole() {
    on_the_fastest_network(|server| {
        let response = server.client().get(&format!("/bytes/{}", 64 * MIB)).expect("the body comes");
        assert_eq!(response.status, 200);
        assert_eq!(response.body.len(), 64 * MIB);
        assert_eq!(first_fault(&response.body), None);
    });
}

#[test]
fn sixty_four_mebibytes_go_in_whole() {
    on_the_fastest_network(|server| {
        let body = pattern(64 * MIB);
        let response = server.client().put("/sink", &body).expect("the body is taken");
        assert_eq!(response.text(), format!("{} {:016x}\n", body.len(), checksum(&body)));
    });
}

/// The user network has small windows and no offloads: another way through the stack.
#[test]
fn a_few_mebibytes_cross_the_user_network_both_ways() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        let mut client = server.client();
        let body = pattern(4 * MIB + 1);
        let response = client.get(&format!("/bytes/{}", body.len())).expect("the body comes");
        assert_eq!(first_fault(&response.body), None);
        assert_eq!(response.body.len(), body.len());
        let response = client.put("/sink", &body).expect("the body is taken");
        assert_eq!(response.text(), format!("{} {:016x}\n", body.len(), checksum(&body)));
        server.stop_well();
    }
}

#[test]
fn a_connection_is_kept_for_many_requests() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        let mut client = server.client();
        for index in 0..200 {
            let response = client.get("/").unwrap_or_else(|error| panic!("request {index}: {error}"));
            assert_eq!(response.status, 200);
        }
        client.send(b"GET / HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n").expect("it is open");
        assert_eq!(client.response().expect("the last answer").header("connection"), Some("close"));
        client.wait_for_close().expect("the server closes after the last answer");
        server.stop_well();
    }
}

#[test]
fn requests_sent_together_are_answered_in_order() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        let mut client = server.client();
        let paths = ["/", "/bytes/10", "/missing", "/bytes/100000", "/bytes/0", "/"];
        let together: String = paths.iter().map(|path| request("GET", path, 0)).collect();
        client.send(together.repeat(20).as_bytes()).expect("it is open");
        for _ in 0..20 {
            let answers = paths.map(|_| client.response().expect("each request is answered"));
            let lengths = answers.each_ref().map(|answer| answer.body.len());
            assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 200, 404, 200, 200, 200]);
            assert_eq!([lengths[1], lengths[3], lengths[4]], [10, 100_000, 0]);
            assert_eq!(answers[0], answers[5]);
        }
        server.stop_well();
    }
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        let mut client = server.client();
        client.send(request("GET", "/bytes/300000", 0).as_bytes()).expect("it is open");
        client.finish_sending().expect("it is open");
        assert_eq!(client.response().expect("the answer").body.len(), 300_000);
        client.wait_for_close().expect("the server closes as well");
        server.stop_well();
    }
}

#[test]
fn sixty_four_clients_are_served_at_once() {
    on_the_fastest_network(|server| {
        let mut clients: Vec<Client> = (0..64).map(|_| server.client()).collect();
        for _ in 0..3 {
            for client in &mut clients {
                client.send(request("GET", "/", 0).as_bytes()).expect("it is open");
            }
            for (index, client) in clients.iter_mut().enumerate() {
                let response = client.response().unwrap_or_else(|error| panic!("client {index}: {error}"));
                assert_eq!(response.status, 200);
            }
        }
    });
}

/// As many as the memory plan promises; each is served twice, with all the others open.
#[test]
fn ten_thousand_connections_are_kept_alive_in_256_mebibytes() {
    for place in PLACES {
        const COUNT: usize = 10_000;
        namespace::run(|| {
            let config = MachineConfig { memory_mib: 256, ..program::guest(directory(), place, "http", &[]) };
            let server = Server::plug_in(config);
            let request = request("GET", "/", 0);
            let mut clients = Vec::with_capacity(COUNT);
            for number in 0..COUNT {
                let client = Client::connect(server.address());
                clients.push(client.unwrap_or_else(|error| panic!("client {number}: {error}")));
            }
            for round in 0..2 {
                for (number, client) in clients.iter_mut().enumerate() {
                    let answer = client.send(request.as_bytes()).and_then(|()| client.response());
                    let answer =
                        answer.unwrap_or_else(|error| panic!("client {number}, round {round}: {error}"));
                    assert_eq!(answer.status, 200);
                }
            }
            assert!(figures(&server).open_connections > COUNT as u64);
            drop(clients);
            server.assert_serves_soon();
            server.stop_well();
        });
    }
}

#[test]
fn two_thousand_connections_in_a_row_leave_nothing_behind() {
    on_the_fastest_network(|server| {
        let visit = |count| (0..count).for_each(|_| server.assert_serves());
        // What is kept for reuse is there after some.
        visit(200);
        let before = figures(server);
        visit(2000);
        let after = figures(server);
        println!("before {before:?}, after {after:?}");
        assert_eq!(after.open_connections, 1, "connections are left open: {after:?}");
        assert!(after.heap_bytes < before.heap_bytes + 256 * 1024, "before {before:?}, after {after:?}");
    });
}

#[test]
fn clients_that_break_off_in_the_middle_do_no_harm() {
    on_the_fastest_network(|server| {
        for _ in 0..50 {
            let mut client = server.client();
            client.send(request("GET", "/bytes/10000000", 0).as_bytes()).expect("it is open");
            drop(client.head().expect("the answer starts"));
        }
        for _ in 0..50 {
            let mut client = server.client();
            client
                .send(b"PUT /sink HTTP/1.1\r\nHost: guest\r\nContent-Length: 1000\r\n\r\nhalf")
                .expect("it is open");
        }
        let deadline = Instant::now() + PATIENCE;
        while figures(server).open_connections > 1 {
            assert!(Instant::now() < deadline, "connections are left open: {:?}", figures(server));
            thread::sleep(Duration::from_millis(100));
        }
    });
}

/// Its cable is cut: no reset, no end, no acknowledgement ever comes.
#[test]
fn a_client_that_falls_silent_in_the_middle_does_not_keep_others_waiting() {
    for place in PLACES {
        let (machine, cable) = cable::start(program::guest(directory(), place, "http", &[]));
        let mut silent = Peer::new(cable, Ipv4Addr::new(10, 9, 0, 77));
        silent.wait_until_serving();
        for _ in 0..10 {
            let mut connection = silent.connect(80).expect("the guest listens");
            silent
                .send(&mut connection, request("GET", "/bytes/10000000", 0).as_bytes())
                .expect("it is open");
            silent.wait_for_bytes(&mut connection, 10_000).expect("the answer starts");
        }
        let mut host = Peer::new(silent.vanish(), HOST);
        for _ in 0..20 {
            let start = Instant::now();
            let answer = host.get("/").expect("others are served");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            assert!(start.elapsed() < Duration::from_secs(5), "others wait {:?}", start.elapsed());
        }
        stop_well(machine);
    }
}

/// What a client does not fetch waits in the guest, but not without bound.
#[test]
fn a_client_that_asks_and_never_reads_does_not_keep_others_waiting() {
    on_the_fastest_network(|server| {
        let mut greedy =
            Client::connect_within(server.address(), Duration::from_secs(1)).expect("the guest listens");
        let many = request("GET", "/bytes/100000", 0).repeat(1000);
        let end = (0..1000).find_map(|_| greedy.send(many.as_bytes()).err());
        assert!(end.is_some(), "the guest reads requests for ever");
        for _ in 0..20 {
            server.assert_serves();
        }
        let figures = figures(server);
        assert!(figures.heap_bytes < 16 << 20, "{figures:?}");
    });
}

#[test]
fn eight_mebibytes_of_memory_bear_more_clients_than_they_can_serve() {
    for place in PLACES {
        namespace::run(|| {
            let config = MachineConfig { memory_mib: 8, ..program::guest(directory(), place, "http", &[]) };
            let server = Server::plug_in(config);
            for _ in 0..3 {
                let mut clients: Vec<Client> = (0..120)
                    .filter_map(|_| Client::connect_within(server.address(), PATIENCE / 20).ok())
                    .collect();
                let ask = |client: &mut Client| client.get("/").is_ok_and(|response| response.status == 200);
                let served = clients.iter_mut().filter_map(|client| ask(client).then_some(())).count();
                println!("{served} of {} connections served", clients.len());
                assert!(served > 0, "nobody is served");
                drop(clients);
                server.assert_serves_soon();
            }
            server.stop_well();
        });
    }
}

#[test]
fn a_closed_port_is_refused_at_once() {
    for place in PLACES {
        namespace::run(|| {
            let server = Server::plug_in(program::guest(directory(), place, "http", &[]));
            let start = Instant::now();
            let error = TcpStream::connect_timeout(&(GUEST.ip, 81).into(), PATIENCE)
                .expect_err("nobody listens there");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            assert!(start.elapsed() < Duration::from_secs(1));
            server.stop_well();
        });
    }
}

#[test]
fn requests_that_are_none_are_answered_as_such() {
    for place in PLACES {
        let server = Server::publish(program::guest(directory(), place, "http", &[]));
        for nonsense in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n"] {
            let mut client = server.client();
            client.send(nonsense.as_bytes()).expect("it is open");
            assert_eq!(client.response().expect("even nonsense is answered").status, 400, "{nonsense:?}");
        }
        let mut client = server.client();
        client
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(100_000)).as_bytes())
            .expect("it is open");
        assert_eq!(client.response().expect("a head without end is answered").status, 431);
        server.assert_serves();
        server.stop_well();
    }
}

#[test]
fn echo_sends_back_what_it_gets_over_tcp() {
    for place in PLACES {
        let echo = Echo::publish(program::guest(directory(), place, "echo", &[]));
        let mut stream = echo.connect();
        let sent = pattern(MIB);
        thread::scope(|scope| {
            let mut writer = stream.try_clone().expect("a connection can be shared");
            scope.spawn({
                let sent = &sent;
                move || {
                    writer.write_all(sent).expect("the guest reads");
                    writer.shutdown(std::net::Shutdown::Write).expect("it is open");
                }
            });
            let mut back = Vec::new();
            stream.read_to_end(&mut back).expect("the guest answers");
            assert_eq!(back.len(), sent.len());
            assert_eq!(first_fault(&back), None);
        });
        echo.stop_well();
    }
}

#[test]
fn echo_sends_back_what_it_gets_over_udp() {
    for place in PLACES {
        let echo = Echo::publish(program::guest(directory(), place, "echo", &[]));
        drop(echo.connect());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the host has a free port");
        socket.connect(echo.udp_address()).expect("a datagram socket connects to anything");
        for length in [0, 1, 64, 512, 1400, 1472] {
            let sent = pattern(length);
            let mut back = [0; 2000];
            // Datagrams may get lost: a few attempts are none too many.
            let received = (0..5).find_map(|_| {
                socket.send(&sent).expect("the host sends");
                socket
                    .set_read_timeout(Some(Duration::from_secs(2)))
                    .expect("a time limit above zero is taken");
                socket.recv(&mut back).ok()
            });
            assert_eq!(received, Some(length));
            assert_eq!(back[..length], sent);
        }
        echo.stop_well();
    }
}

/// What `/stats` tells.
#[derive(Debug)]
struct Figures {
    open_connections: u64,
    heap_bytes: u64,
}

fn figures(server: &Server) -> Figures {
    let text = server.client().get("/stats").expect("the guest answers").text();
    let json: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let number = |name: &str| json[name].as_u64().unwrap_or_else(|| panic!("no {name} in {text}"));
    Figures { open_connections: number("open_connections"), heap_bytes: number("heap_bytes") }
}

/// Runs a test on a tap interface, or on the user network where the former cannot be had: that one takes connections
/// one by one, and a client that comes too soon waits for a second.
fn on_the_fastest_network(test: impl Fn(&Server) + Sync) {
    for place in PLACES {
        let http = || program::guest(directory(), place, "http", &[]);
        let on_tap = namespace::run(|| {
            let server = Server::plug_in(http());
            test(&server);
            server.stop_well();
        });
        if on_tap.is_none() {
            let server = Server::publish(http());
            test(&server);
            server.stop_well();
        }
    }
}

fn assert_wrk_is_served(server: &Server, connections: usize) {
    let connections = format!("-c{connections}");
    let output = Command::new("wrk").args(["-t1", &connections, "-d2s", &server.url("/")]).output();
    let output = output.expect("wrk is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for trouble in ["Socket errors", "Non-2xx"] {
        assert!(!text.contains(trouble), "{text}");
    }
    let requests =
        text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse::<u64>().ok());
    assert!(requests.is_some_and(|requests| requests > 0), "{text}");
}

fn curl(words: &[&str]) -> String {
    let output =
        Command::new("curl").args(["--silent", "--show-error", "--max-time", "20"]).args(words).output();
    let output = output.expect("curl is installed");
    assert!(output.status.success(), "curl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

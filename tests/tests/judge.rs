//! An outside judge of the guest's TCP: the host's Linux at the other end of a bad line.
//!
//! The line delays by 10 ms each way, loses 2 % of the frames and lets 2 % be overtaken. All bytes must arrive, both
//! ways at once. How long that took stands beside what two Linux hosts need over the same line; it is printed, not
//! asserted.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use metaos_tests::client::request;
use metaos_tests::impairment::{Impairment, Line};
use metaos_tests::namespace::{self, GUEST, HOST, INTERFACE};
use metaos_tests::pattern::{checksum, first_fault, pattern};
use metaos_tests::server::stop_well;
use metaos_tests::tap::Tap;
use metaos_tests::{cable, program};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::TcpCongestion;

const BYTES: usize = 20 << 20;
const PORT: u16 = 80;
const SEED: u64 = 0x5eed;
const LINE: Impairment =
    Impairment { delay: Duration::from_millis(10), loss: 0.02, reorder: 0.02, lag: Duration::from_millis(3) };
/// Longest silence on a connection. Twelve losses in a row stop TCP for minutes; this seed has none such.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Debug)]
struct Figures {
    /// Mbit/s into the server and out of it.
    inward: f64,
    outward: f64,
    /// Frames carried, lost and reordered.
    frames: (u64, u64, u64),
}

#[test]
fn twenty_mebibytes_each_way_survive_a_bad_line_beside_linux() {
    // Two lines that have nothing to do with each other; waiting is most of the work.
    let (ours, linux) = thread::scope(|scope| {
        let ours = scope.spawn(|| namespace::run(of_the_guest));
        let linux = namespace::run(of_linux);
        (ours.join().expect("the guest holds out"), linux)
    });
    let (Some(ours), Some(linux)) = (ours, linux) else { return };
    println!("guest: {ours}\nLinux: {linux}");
    let (inward, outward) = (ours.inward / linux.inward, ours.outward / linux.outward);
    println!("guest to Linux: {inward:.2}x into the server, {outward:.2}x out of it");
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inward, outward, frames: (carried, lost, reordered) } = self;
        write!(f, "{inward:.2} Mbit/s into the server, {outward:.2} Mbit/s out of it ")?;
        write!(f, "({carried} frames carried, {lost} lost, {reordered} late)")
    }
}

fn of_the_guest() -> Figures {
    let (machine, mut cable) = cable::start(program::machine(directory(), "http", &[]));
    cable.find_guest();
    let figures = measure(cable.split());
    stop_well(machine);
    figures
}

fn of_linux() -> Figures {
    let (ready, is_ready) = channel();
    let (finish, is_finished) = channel::<()>();
    // The server's end of the line is in a namespace of its own, or Linux would talk to itself.
    let server = thread::spawn(move || {
        namespace::run(move || {
            namespace::ip(&format!("addr flush dev {INTERFACE}"));
            namespace::ip(&format!("addr add {GUEST} dev {INTERFACE}"));
            let listener = TcpListener::bind((GUEST.ip, PORT)).expect("nobody else is there");
            use_cubic(&listener);
            ready.send(Tap::open(INTERFACE).expect("the interface exists")).expect("the test waits");
            thread::spawn(move || {
                listener.incoming().flatten().for_each(|stream| drop(thread::spawn(|| serve(stream))));
            });
            // Until the test is over, or gives up.
            let _ = is_finished.recv();
        });
    });
    let far = is_ready.recv().expect("a second namespace can be had like the first");
    let figures = measure(far.split().expect("the process may have more descriptors"));
    drop(finish);
    server.join().expect("the server ends well");
    figures
}

/// Has Linux use what it uses unless its owner says otherwise.
fn use_cubic(socket: &impl AsFd) {
    setsockopt(socket, TcpCongestion, &"cubic".into()).expect("Linux has its default");
}

/// Moves the bytes both ways at once over a bad line between the host and a server at the other port.
fn measure(far: (impl metaos_tests::impairment::Source, impl metaos_tests::impairment::Sink)) -> Figures {
    let near = Tap::open(INTERFACE).and_then(Tap::split).expect("the interface exists");
    let line = Line::new(LINE, SEED, near, far);
    let (inward, outward) = thread::scope(|scope| {
        let inward = scope.spawn(send);
        let outward = scope.spawn(receive);
        (inward.join().expect("the bytes go in"), outward.join().expect("the bytes come out"))
    });
    Figures { inward, outward, frames: line.counts() }
}

/// Sends the pattern to the server and returns the rate in Mbit/s.
fn send() -> f64 {
    let mut stream = connect();
    let body = pattern(BYTES);
    let start = Instant::now();
    stream.write_all(request("PUT", "/sink", BYTES).as_bytes()).expect("the server listens");
    stream.write_all(&body).expect("the server takes it");
    let (_, answer) = response(stream);
    assert_eq!(String::from_utf8_lossy(&answer), format!("{BYTES} {:016x}\n", checksum(&body)));
    rate(start)
}

/// Has the server send the pattern and returns the rate in Mbit/s.
fn receive() -> f64 {
    let mut stream = connect();
    let start = Instant::now();
    stream.write_all(request("GET", &format!("/bytes/{BYTES}"), 0).as_bytes()).expect("the server listens");
    let (head, body) = response(stream);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!((body.len(), first_fault(&body)), (BYTES, None));
    rate(start)
}

fn connect() -> TcpStream {
    let server = SocketAddr::from((GUEST.ip, PORT));
    // A server that has just started may not listen yet.
    let attempt = (0..100).find_map(|_| {
        let attempt = TcpStream::connect_timeout(&server, PATIENCE);
        attempt.map_err(|_| thread::sleep(Duration::from_millis(20))).ok()
    });
    let stream = attempt.unwrap_or_else(|| panic!("{HOST} does not reach {server}"));
    use_cubic(&stream);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit above zero is taken");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time limit above zero is taken");
    stream
}

/// Reads an answer: its head, and the body whose length that tells.
fn response(stream: TcpStream) -> (String, Vec<u8>) {
    let mut stream = BufReader::new(stream);
    let head = head(&mut stream);
    let mut body = vec![0; length(&head)];
    stream.read_exact(&mut body).expect("the body comes");
    (head, body)
}

/// What `http` does, by Linux's own means.
fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let head = head(&mut stream);
    let body = if head.starts_with("PUT") {
        let mut body = vec![0; length(&head)];
        stream.read_exact(&mut body).expect("the body comes");
        format!("{} {:016x}\n", body.len(), checksum(&body)).into_bytes()
    } else {
        pattern(BYTES)
    };
    let stream = stream.get_mut();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(answer.as_bytes()).expect("the client is there");
    stream.write_all(&body).expect("the client is there");
}

fn head(stream: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let count = stream.read_line(&mut head).expect("the peer says something");
        assert!(count > 0, "the peer ends in the middle of a head: {head}");
    }
    head
}

fn length(head: &str) -> usize {
    let value = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    value.and_then(|value| value.parse().ok()).expect("the length is told")
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(start: Instant) -> f64 {
    (BYTES * 8) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

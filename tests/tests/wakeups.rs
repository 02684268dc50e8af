//! No wake-up is lost: guests go to sleep at the moment at which they are woken, thousands of times.
//!
//! Shown on each way on which a guest is woken: an interrupt of a device ends a Machine call, input and datagrams end
//! the sleep of the library OS. Who was not woken sleeps for ever; the test hears nothing, nudges the guest, and the
//! guest tells that what it had waited for was there already.
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metaos_tests::guests;
use runner::{CommandLine, Machine, MachineError, Network, Outcome, UserNetwork};

/// Status of a guest that lost nothing.
const STATUS_HELD: u8 = 42;
/// How long a guest may be silent before it is nudged. A host that is busy takes a tenth of that.
const PATIENCE: Duration = Duration::from_secs(4);
/// Most nudges: a guest that does not go on after so many does not for another reason.
const NUDGES: usize = 2;
/// How often the other side looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);
const ANSWER: &[u8] = b"x";
const NUDGE: &[u8] = b"n";
/// Where QEMU's user network has the host (`-netdev user`, `host`).
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Eight bytes, which is one question, in a millisecond.
const SLOW_ENTROPY: [&str; 4] =
    ["-global", "virtio-rng-device.max-bytes=8", "-global", "virtio-rng-device.period=1"];

#[test]
fn no_wake_up_by_a_device_is_lost() {
    check(guests::run_with(
        directory(),
        "race-wait-with-device",
        |config| config.extra_arguments = SLOW_ENTROPY.map(Into::into).to_vec(),
        |machine| follow(machine, b""),
    ));
}

#[test]
fn no_wake_up_by_input_is_lost() {
    check(guests::run_with(directory(), "race-idle-with-input", |_| (), |machine| follow(machine, ANSWER)));
}

#[test]
fn no_wake_up_by_the_network_is_lost() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("the host has a free port");
    let port = socket.local_addr().expect("a bound socket has an address").port();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| answer_datagrams(&socket, &is_over));
        let name = "race-idle-with-network";
        let outcome = guests::run_with(
            directory(),
            name,
            |config| {
                config.network = Network::User(UserNetwork::default());
                config.command_line = CommandLine::new().argument(name).argument(&format!("{HOST}:{port}"));
            },
            |_| (),
        );
        is_over.store(true, Ordering::Relaxed);
        check(outcome);
    });
}

fn check(outcome: Result<Outcome, MachineError>) {
    let outcome = outcome.unwrap_or_else(|error| panic!("{error}"));
    if let Some(crash) = outcome.crash {
        panic!("{crash}");
    }
    println!(
        "{}",
        outcome.console.lines().filter(|line| !line.starts_with('<')).collect::<Vec<_>>().join("\n")
    );
    assert_eq!(outcome.status, STATUS_HELD);
}

/// Types `answer` for each numbered line, and a nudge if none comes.
fn follow(machine: &Machine, answer: &[u8]) {
    let mut nudges = 0;
    for round in 0.. {
        while !machine.wait_for_console(&format!("<{round}>"), PATIENCE) {
            nudges += 1;
            if nudges > NUDGES || machine.type_on_console(NUDGE).is_err() {
                return;
            }
        }
        if machine.type_on_console(answer).is_err() {
            return;
        }
    }
}

/// Sends each datagram back, and the last one once more with a nudge behind it if none comes.
fn answer_datagrams(socket: &UdpSocket, is_over: &AtomicBool) {
    socket.set_read_timeout(Some(LOOK)).expect("a time limit above zero is taken");
    let mut datagram = [0; 8];
    let mut last = None;
    let mut heard = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        match socket.recv_from(&mut datagram) {
            Ok((length, peer)) => {
                send(socket, &datagram[..length], peer);
                (last, heard) = (Some(peer), Instant::now());
            }
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "the socket fails: {error}"
            ),
        }
        if let Some(peer) = last.take_if(|_| heard.elapsed() > PATIENCE) {
            send(socket, &[&datagram, NUDGE].concat(), peer);
        }
    }
}

fn send(socket: &UdpSocket, bytes: &[u8], peer: SocketAddr) {
    socket.send_to(bytes, peer).expect("the loopback interface takes datagrams");
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

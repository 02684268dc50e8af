//! The forwarder between real sockets of this host and a guest, whose part a stock smoltcp plays at the other end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stock_smoltcp as smoltcp;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use super::wire::Wire;
use super::*;

const PLACE: Place = Place {
    guest: Address { ip: Ipv4Addr::new(10, 0, 2, 15), prefix: 24 },
    gateway: Ipv4Addr::new(10, 0, 2, 2),
};
const ECHO: u16 = 7;
/// Takes a connection and never reads.
const DEAF: u16 = 9;
const PATIENCE: Duration = Duration::from_secs(20);
/// Clients at a time.
const CLIENTS: usize = 32;
/// Sockets of the guest: those of clients that have just gone are not listening again yet.
const SOCKETS: usize = 2 * CLIENTS;

/// A guest that echoes on [`ECHO`], both protocols, until it is dropped.
struct Guest {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Guest {
    fn start(end: OwnedFd) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let thread = thread::spawn(move || serve(Wire::new(end), &flag));
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut wire: Wire, is_over: &AtomicBool) {
    let address = EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    let mut interface = Interface::new(Config::new(address.into()), &mut wire, Instant::now());
    let own = IpCidr::new(IpAddress::Ipv4(PLACE.guest.ip), PLACE.guest.prefix);
    interface.update_ip_addrs(|addresses| addresses.push(own).unwrap());
    let mut sockets = SocketSet::new(Vec::new());
    let streams: Vec<SocketHandle> = (0..SOCKETS).map(|_| sockets.add(stream())).collect();
    let deaf = sockets.add(stream());
    let datagrams = sockets.add(datagrams());
    while !is_over.load(Ordering::SeqCst) && !wire.is_closed() {
        streams.iter().for_each(|handle| echo(sockets.get_mut(*handle)));
        if !sockets.get::<tcp::Socket<'_>>(deaf).is_open() {
            sockets.get_mut::<tcp::Socket<'_>>(deaf).listen(DEAF).unwrap();
        }
        let socket = sockets.get_mut::<udp::Socket<'_>>(datagrams);
        while let Ok((bytes, from)) = socket.recv().map(|(bytes, from)| (bytes.to_vec(), from)) {
            socket.send_slice(&bytes, from.endpoint).unwrap();
        }
        wire.begin_turn();
        interface.poll(Instant::now(), &mut wire, &mut sockets);
        let nap = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        poll(&mut [PollFd::new(&wire, PollFlags::IN)], Some(&nap)).unwrap();
    }
}

fn stream() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; 64 << 10]);
    tcp::Socket::new(buffer(), buffer())
}

fn datagrams() -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 16], vec![0; 256 << 10]);
    let mut socket = udp::Socket::new(buffer(), buffer());
    socket.bind(ECHO).unwrap();
    socket
}

fn echo(socket: &mut tcp::Socket<'_>) {
    if !socket.is_open() {
        socket.listen(ECHO).unwrap();
    }
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        let bytes = socket.recv(|bytes| (bytes.len().min(room), bytes[..bytes.len().min(room)].to_vec()));
        let bytes = bytes.unwrap();
        assert_eq!(socket.send_slice(&bytes).unwrap(), bytes.len());
    }
    if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
        socket.close();
    }
}

/// A forwarder with a guest; the ports of this host follow the order of `forwards`.
fn forwarded(forwards: &[Forward]) -> (Forwarder, Guest, Vec<u16>) {
    let (ours, theirs) = socket_pair().unwrap();
    let (forwards, listeners) = listen(forwards).unwrap();
    let ports = forwards.iter().map(|forward| forward.host_port).collect();
    (Forwarder::start(ours, listeners, PLACE).unwrap(), Guest::start(theirs), ports)
}

fn client(port: u16) -> TcpStream {
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Sends `bytes` and its end, and returns what comes back.
fn exchange(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let client = client(port);
    thread::scope(|scope| {
        scope.spawn(|| {
            (&client).write_all(bytes).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut answer = Vec::new();
        (&client).read_to_end(&mut answer).map(|_| answer)
    })
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251).to_le_bytes()[0]).collect()
}

#[test]
fn a_megabyte_goes_there_and_back_and_so_does_its_end() {
    let (_forwarder, _guest, ports) = forwarded(&[Forward::tcp(0, ECHO)]);
    let bytes = pattern(1 << 20);
    assert!(exchange(ports[0], &bytes).unwrap() == bytes);
    assert_eq!(exchange(ports[0], b"").unwrap(), b"");
}

#[test]
fn many_clients_are_served_at_a_time() {
    let (_forwarder, _guest, ports) = forwarded(&[Forward::tcp(0, ECHO)]);
    for _ in 0..3 {
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let port = ports[0];
                scope.spawn(move || {
                    let bytes = pattern(1000 + number);
                    assert!(exchange(port, &bytes).unwrap() == bytes);
                });
            }
        });
    }
}

#[test]
fn a_port_that_the_guest_does_not_serve_is_reset() {
    let (_forwarder, _guest, ports) = forwarded(&[Forward::tcp(0, 81)]);
    let mut answer = Vec::new();
    let error = client(ports[0]).read_to_end(&mut answer).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_guest_that_does_not_read_holds_its_client_back_and_nobody_else() {
    let (_forwarder, _guest, ports) = forwarded(&[Forward::tcp(0, DEAF), Forward::tcp(0, ECHO)]);
    let mut deaf = client(ports[0]);
    deaf.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let bytes = pattern(64 << 20);
    assert!(deaf.write_all(&bytes).is_err());
    assert_eq!(exchange(ports[1], b"hello").unwrap(), b"hello");
}

#[test]
fn a_client_that_breaks_off_frees_the_guests_connection() {
    let (_forwarder, _guest, ports) = forwarded(&[Forward::tcp(0, ECHO)]);
    // More than the guest has room for, were they not freed.
    for _ in 0..2 * SOCKETS {
        let mut client = client(ports[0]);
        client.write_all(b"half a").unwrap();
        sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        let mut letter = [0; 1];
        client.read_exact(&mut letter).unwrap();
    }
    assert_eq!(exchange(ports[0], b"hello").unwrap(), b"hello");
}

#[test]
fn datagrams_find_their_client() {
    let (_forwarder, _guest, ports) = forwarded(&[Forward::udp(0, ECHO)]);
    let clients: Vec<UdpSocket> = (0..3)
        .map(|_| {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            client.connect((Ipv4Addr::LOCALHOST, ports[0])).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        })
        .collect();
    for length in [1, 1400, 60_000] {
        for (number, client) in clients.iter().enumerate() {
            client.send(&pattern(length + number)).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            let mut answer = vec![0; 65_536];
            let count = client.recv(&mut answer).unwrap();
            assert!(answer[..count] == pattern(length + number));
        }
    }
}

/// The guest's bytes are hostile, and the forwarder runs with its user's rights.
#[test]
fn garbage_from_the_guest_leaves_the_forwarder_forwarding() {
    let (ours, theirs) = socket_pair().unwrap();
    let (forwards, listeners) = listen(&[Forward::tcp(0, ECHO), Forward::udp(0, ECHO)]).unwrap();
    let _forwarder = Forwarder::start(ours, listeners, PLACE).unwrap();
    let start: [u8; 26] = *b"\0\0\0\0\0\0\0\0\0\0\0\0\x52\x55\x0a\0\x02\x02\x52\x54\0\x12\x34\x56\x08\0";
    let mut state = 1_u64;
    for turn in 0..20_000_usize {
        let mut message: Vec<u8> = (0..turn * 7 % 2000 + 1)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            })
            .collect();
        // Every other message gets as far as the IP header, or that of ARP.
        if turn % 2 == 0 && message.len() > 40 {
            message[..26].copy_from_slice(&start);
            message[25] = if turn % 4 == 0 { 0 } else { 6 };
            message[26] = 0x45;
        }
        rustix::net::send(&theirs, &message, rustix::net::SendFlags::empty()).unwrap();
        // What is answered is read, so that the link does not fill up.
        let mut answer = [0; 2048];
        let _ = rustix::net::recv(&theirs, &mut answer[..], rustix::net::RecvFlags::DONTWAIT);
    }
    let _guest = Guest::start(theirs);
    assert_eq!(exchange(forwards[0].host_port, b"hello").unwrap(), b"hello");
}

#[test]
fn a_forwarder_ends_when_it_is_dropped_and_when_the_guest_has_gone() {
    let (forwarder, guest, ports) = forwarded(&[Forward::tcp(0, ECHO)]);
    let _open = client(ports[0]);
    drop(forwarder);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, ports[0])).is_err());
    drop(guest);
    let (forwarder, guest, ports) = forwarded(&[Forward::tcp(0, ECHO)]);
    drop(guest);
    let deadline = std::time::Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, ports[0])).is_ok() {
        assert!(std::time::Instant::now() < deadline, "it still listens");
        thread::sleep(Duration::from_millis(1));
    }
    drop(forwarder);
}

#[test]
fn a_port_in_use_is_named() {
    let (_, listeners) = listen(&[Forward::tcp(0, 80)]).unwrap();
    let HostSocket::Tcp(taken) = &listeners[0].socket else { panic!("a TCP socket was asked for") };
    let port = taken.local_addr().unwrap().port();
    let message = listen(&[Forward::tcp(port, 80)]).unwrap_err().to_string();
    assert!(message.contains(&format!("tcp port {port}")), "{message}");
}

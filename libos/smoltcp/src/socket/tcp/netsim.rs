//! Two sockets and an unreliable link between them, on a clock of its own: what the patches to
//! loss recovery, congestion control and buffers are measured with.

use super::*;
use crate::phy::Medium;
use crate::wire::{IpCidr, Ipv4Address};
use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

/// What the link does to packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// Bits per second.
    pub(super) rate: u64,
    /// There and back.
    pub(super) rtt: Duration,
    /// Bytes that wait before the link; what does not fit is lost.
    pub(super) queue: u64,
    /// Of a million packets, how many are lost.
    pub(super) loss: u32,
    /// Of a million packets, how many arrive late by a quarter of the round trip.
    pub(super) reorder: u32,
}

impl Link {
    pub(super) const fn new(rate: u64, rtt_micros: u64) -> Self {
        Link {
            rate,
            rtt: Duration::from_micros(rtt_micros),
            queue: 400_000,
            loss: 0,
            reorder: 0,
        }
    }
}

struct Random(u64);

impl Random {
    /// Marsaglia, "Xorshift RNGs", 2003.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn happens(&mut self, per_million: u32) -> bool {
        self.next() % 1_000_000 < u64::from(per_million)
    }
}

pub(super) struct Host {
    pub(super) socket: Socket<'static>,
    cx: Context,
    /// When the link has sent all that waits before it.
    busy_until: Instant,
}

impl Host {
    fn new(address: Ipv4Address, socket: Socket<'static>) -> Self {
        let (mut iface, _, _) = crate::tests::setup(Medium::Ip);
        iface.update_ip_addrs(|addrs| {
            addrs.clear();
            addrs
                .push(IpCidr::new(IpAddress::Ipv4(address), 24))
                .unwrap();
        });
        Host {
            socket,
            cx: iface.inner,
            busy_until: Instant::ZERO,
        }
    }
}

struct Packet {
    ip: IpRepr,
    repr: TcpRepr<'static>,
    payload: Vec<u8>,
}

impl Packet {
    fn new(ip: IpRepr, repr: &TcpRepr) -> Self {
        let payload = repr.payload.to_vec();
        let repr = TcpRepr {
            payload: &[],
            ..*repr
        };
        Packet { ip, repr, payload }
    }
}

/// A client, number 0, that sends, and a server, number 1, that receives.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) hosts: [Host; 2],
    pub(super) link: Link,
    random: Random,
    under_way: BTreeMap<(Instant, u64), (usize, Packet)>,
    sequence: u64,
    pub(super) sent: [u64; 2],
    pub(super) dropped: u64,
    pub(super) timeouts: u64,
    written: usize,
    pub(super) read: usize,
}

const CLIENT: Ipv4Address = Ipv4Address::new(192, 168, 1, 1);
const SERVER: Ipv4Address = Ipv4Address::new(192, 168, 1, 2);

fn pattern(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

impl World {
    pub(super) fn new(link: Link, seed: u64, mut make: impl FnMut() -> Socket<'static>) -> Self {
        let mut client = Host::new(CLIENT, make());
        let mut server = Host::new(SERVER, make());
        server.socket.listen(80).unwrap();
        client
            .socket
            .connect(&mut client.cx, (IpAddress::Ipv4(SERVER), 80), 49500)
            .unwrap();
        World {
            now: Instant::from_millis(1000),
            hosts: [client, server],
            link,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            under_way: BTreeMap::new(),
            sequence: 0,
            sent: [0; 2],
            dropped: 0,
            timeouts: 0,
            written: 0,
            read: 0,
        }
    }

    fn send(&mut self, from: usize, packet: Packet) {
        self.sent[from] += 1;
        let link = self.link;
        let bytes = (packet.ip.buffer_len() + 14 + 24) as u64;
        let host = &mut self.hosts[from];
        let start = host.busy_until.max(self.now);
        let waiting = (start - self.now).total_micros() * link.rate / 8_000_000;
        if waiting > link.queue || self.random.happens(link.loss) {
            self.dropped += 1;
            return;
        }
        // Bits of a whole microsecond are not lost: the time is rounded by a coin.
        let nanos = bytes * 8_000_000_000 / link.rate;
        let round = u64::from(self.random.next() % 1000 < nanos % 1000);
        host.busy_until = start + Duration::from_micros(nanos / 1000 + round);
        let mut arrival = host.busy_until + link.rtt / 2;
        if self.random.happens(link.reorder) {
            arrival += link.rtt / 4;
        }
        self.sequence += 1;
        self.under_way
            .insert((arrival, self.sequence), (1 - from, packet));
    }

    /// Lets a program write or read as much as it can, then lets the socket send.
    fn attend(&mut self, number: usize, total: usize) {
        if number == 0 {
            let written = &mut self.written;
            let socket = &mut self.hosts[0].socket;
            while *written < total && socket.can_send() {
                socket
                    .send(|space| {
                        let count = space.len().min(total - *written);
                        for (at, byte) in space[..count].iter_mut().enumerate() {
                            *byte = pattern(*written + at);
                        }
                        *written += count;
                        (count, ())
                    })
                    .unwrap();
            }
        } else {
            let read = &mut self.read;
            let socket = &mut self.hosts[1].socket;
            while socket.can_recv() {
                socket
                    .recv(|bytes| {
                        for (at, byte) in bytes.iter().enumerate() {
                            assert_eq!(*byte, pattern(*read + at), "at {}", *read + at);
                        }
                        *read += bytes.len();
                        (bytes.len(), ())
                    })
                    .unwrap();
            }
        }
        for _ in 0..10_000 {
            let host = &mut self.hosts[number];
            host.cx.set_now(self.now);
            if let Timer::Retransmit { expires_at } = host.socket.timer
                && expires_at <= self.now
            {
                self.timeouts += 1;
            }
            let mut packet = None;
            let _ = host
                .socket
                .dispatch(&mut host.cx, |_, _, (ip, repr)| -> Result<(), ()> {
                    packet = Some(Packet::new(ip, &repr));
                    Ok(())
                });
            match packet {
                Some(packet) => self.send(number, packet),
                None => return,
            }
        }
        panic!("a socket never stops sending");
    }

    /// Goes on until the server has read `total` bytes, for at most `limit`.
    pub(super) fn run(&mut self, total: usize, limit: Duration) {
        let end = self.now + limit;
        self.attend(0, total);
        self.attend(1, total);
        while self.read < total && self.now < end {
            let mut next = self.under_way.keys().next().map(|(at, _)| *at);
            for host in &mut self.hosts {
                host.cx.set_now(self.now);
                if let PollAt::Time(at) = host.socket.poll_at(&mut host.cx) {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
            let next = next.expect("nothing will ever happen again");
            self.now = next.max(self.now);
            let mut attend = [next <= self.now; 2];
            let mut arrived = VecDeque::new();
            while let Some(entry) = self.under_way.first_entry()
                && entry.key().0 <= self.now
            {
                arrived.push_back(entry.remove());
            }
            if !arrived.is_empty() {
                attend = [false; 2];
            }
            for (to, packet) in arrived {
                attend[to] = true;
                let host = &mut self.hosts[to];
                host.cx.set_now(self.now);
                let repr = TcpRepr {
                    payload: &packet.payload,
                    ..packet.repr
                };
                if !host.socket.accepts(&mut host.cx, &packet.ip, &repr) {
                    continue;
                }
                let reply = host.socket.process(&mut host.cx, &packet.ip, &repr);
                if let Some((ip, repr)) = reply {
                    let reply = Packet::new(ip, &repr);
                    self.send(to, reply);
                }
            }
            for (number, attend) in attend.into_iter().enumerate() {
                if attend {
                    self.attend(number, total);
                }
            }
            if next == self.now && self.under_way.is_empty() {
                self.now += Duration::from_micros(1);
            }
        }
    }
}

/// Sends `total` bytes over `link`, and returns megabits a second.
pub(super) fn throughput(
    link: Link,
    seed: u64,
    total: usize,
    make: impl FnMut() -> Socket<'static>,
) -> (f64, World) {
    let mut world = World::new(link, seed, make);
    let start = world.now;
    world.run(total, Duration::from_secs(100));
    let seconds = (world.now - start).total_micros() as f64 / 1e6;
    let megabits = world.read as f64 * 8.0 / 1e6 / seconds;
    (megabits, world)
}

fn socket(buffer: usize) -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; buffer]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_ack_delay(None);
    socket.set_min_rto(Duration::from_millis(200));
    socket
}

/// Buffers from nothing to 4 MiB.
#[cfg(feature = "alloc")]
fn elastic_socket(budget: &alloc::sync::Arc<BufferBudget>) -> Socket<'static> {
    let mut socket = socket(0);
    socket.set_elastic_buffers(Some(ElasticBuffers {
        budget: budget.clone(),
        floor: 4 << 10,
        most: 4 << 20,
    }));
    socket
}

const CASES: [(&str, Link, usize); 7] = [
    (
        "20 ms, 2 % loss, 2 % reorder",
        Link {
            loss: 20_000,
            reorder: 20_000,
            ..Link::new(1_000_000_000, 20_000)
        },
        8 << 20,
    ),
    (
        "20 ms, 2 % loss",
        Link {
            loss: 20_000,
            ..Link::new(1_000_000_000, 20_000)
        },
        8 << 20,
    ),
    (
        "20 ms, 2 % reorder",
        Link {
            reorder: 20_000,
            ..Link::new(1_000_000_000, 20_000)
        },
        16 << 20,
    ),
    (
        "1 ms, 0.1 % loss",
        Link {
            loss: 1_000,
            ..Link::new(1_000_000_000, 1_000)
        },
        64 << 20,
    ),
    (
        "10 ms, 0.01 % loss",
        Link {
            loss: 100,
            ..Link::new(1_000_000_000, 10_000)
        },
        64 << 20,
    ),
    (
        "10 ms, 1 Gbit/s",
        Link::new(1_000_000_000, 10_000),
        64 << 20,
    ),
    (
        "20 ms, 100 Mbit/s, 64 KiB queue",
        Link {
            queue: 64 << 10,
            ..Link::new(100_000_000, 20_000)
        },
        32 << 20,
    ),
];

#[cfg(any(feature = "socket-tcp-reno", feature = "socket-tcp-cubic"))]
#[test]
#[ignore = "a measurement: NETSIM='10 ms' with --ignored --nocapture"]
fn throughput_table() {
    let controls = [
        #[cfg(feature = "socket-tcp-reno")]
        CongestionControl::Reno,
        #[cfg(feature = "socket-tcp-cubic")]
        CongestionControl::Cubic,
    ];
    let filter = std::env::var("NETSIM").unwrap_or_default();
    for (name, link, total) in CASES {
        if !name.contains(&filter) {
            continue;
        }
        for buffer in [64 << 10, 2 << 20, 0] {
            for control in controls {
                let mut sum = 0.0;
                let (mut timeouts, mut sent) = (0, 0);
                let seeds = 2;
                for seed in 1..=seeds {
                    let (megabits, world) = throughput(link, seed, total, || {
                        let mut socket = match buffer {
                            #[cfg(feature = "alloc")]
                            0 => {
                                elastic_socket(&alloc::sync::Arc::new(BufferBudget::new(16 << 20)))
                            }
                            _ => socket(buffer),
                        };
                        socket.set_congestion_control(control);
                        socket
                    });
                    sum += megabits;
                    timeouts += world.timeouts;
                    sent += world.sent[0];
                }
                let buffer = match buffer {
                    0 => std::string::String::from("elastic"),
                    _ => std::format!("{} KiB", buffer >> 10),
                };
                println!(
                    "{name:34} {buffer:>8} {control:?}: {:8.2} Mbit/s, {timeouts} timeouts, {sent} packets",
                    sum / seeds as f64
                );
            }
        }
    }
}

#[test]
fn everything_arrives_whatever_the_link_does() {
    for seed in 1..=40 {
        let link = Link {
            loss: 1_000 * (seed as u32 % 7).pow(2),
            reorder: 10_000 * (seed as u32 % 5),
            queue: 20_000 * (seed % 3 + 1),
            ..Link::new(100_000_000, 5_000)
        };
        let total = 300_000;
        let (_, world) = throughput(link, seed, total, || socket(8_000 << (seed % 4)));
        assert_eq!(world.read, total, "seed {seed}");
    }
}

#[cfg(feature = "socket-tcp-reno")]
#[test]
fn losses_rarely_cost_a_timeout() {
    let link = Link {
        loss: 20_000,
        ..Link::new(1_000_000_000, 20_000)
    };
    let (megabits, world) = throughput(link, 1, 4 << 20, || {
        let mut socket = socket(256 << 10);
        socket.set_congestion_control(CongestionControl::Reno);
        socket
    });
    // The square root formula (Mathis et al., 1997) gives 5 Mbit/s.
    assert!(world.timeouts <= 4, "{}", world.timeouts);
    assert!(megabits > 3.5, "{megabits}");
}

#[cfg(feature = "socket-tcp-reno")]
#[test]
fn late_segments_are_no_losses() {
    let link = Link {
        reorder: 20_000,
        ..Link::new(1_000_000_000, 20_000)
    };
    let (late, _) = throughput(link, 1, 8 << 20, || socket(64 << 10));
    let in_order = Link { reorder: 0, ..link };
    let (in_order, _) = throughput(in_order, 1, 8 << 20, || socket(64 << 10));
    assert!(late > in_order * 0.7, "{late} {in_order}");
    // But they are no excuse not to slow down when segments are lost.
    let lossy = Link {
        loss: 20_000,
        ..link
    };
    let (megabits, world) = throughput(lossy, 1, 4 << 20, || {
        let mut socket = socket(256 << 10);
        socket.set_congestion_control(CongestionControl::Reno);
        socket
    });
    assert!(world.timeouts <= 4, "{}", world.timeouts);
    // The square root formula (Mathis et al., 1997) gives 5 Mbit/s.
    assert!((3.5..7.0).contains(&megabits), "{megabits}");
}

#[cfg(feature = "alloc")]
#[test]
fn everything_arrives_in_elastic_buffers() {
    for seed in 1..=20 {
        let link = Link {
            loss: 5_000 * (seed as u32 % 3),
            reorder: 10_000 * (seed as u32 % 5),
            ..Link::new(100_000_000, 5_000)
        };
        let total = 500_000;
        let octets = 10_000 << (seed % 6);
        let budget = alloc::sync::Arc::new(BufferBudget::new(octets));
        let (_, world) = throughput(link, seed, total, || elastic_socket(&budget));
        assert_eq!(world.read, total, "seed {seed}");
        drop(world);
        assert_eq!(budget.left(), octets);
    }
}

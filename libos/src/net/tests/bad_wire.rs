use super::wire::{Random, World, read, write};
use crate::net::connection::Received;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use smoltcp::time::Duration;

/// One connection over a wire that loses, repeats, reorders and corrupts.
fn transfer(seed: u64) {
    let mut world = World::new();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..8 {
        random.next();
    }
    world.fate = Box::new(move |frame| {
        let jitter = Duration::from_micros(100 + random.next() % 400);
        if random.one_in(20) {
            return Vec::new();
        }
        if random.one_in(50) {
            let place = random.below(frame.len());
            frame[place] ^= 1 << (random.next() % 8);
        }
        if random.one_in(30) { vec![jitter, jitter * 3] } else { vec![jitter] }
    });
    let (client, server) = world.connect(80);
    let sent: Vec<u8> =
        (0..100_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut written, mut received) = (0, Vec::new());
    world.run_until(Duration::from_secs(3000), |world| {
        written += write(world.client.stack(), client, &sent[written..]);
        if let Received::Bytes(bytes) = read(world.server.stack(), server) {
            received.extend(bytes);
        }
        received.len() >= sent.len()
    });
    assert!(received == sent, "seed {seed}");
    world.client.stack().abandon(client);
    world.server.stack().abandon(server);
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.client.stack().connection_count(), 0, "seed {seed}");
    assert_eq!(world.server.stack().connection_count(), 0, "seed {seed}");
}

#[test]
fn a_bad_wire_loses_and_changes_nothing() {
    for seed in 0..20 {
        transfer(seed);
    }
}

#[test]
fn garbage_is_survived() {
    let mut world = World::new();
    let (client, server) = world.connect(80);
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..50_000 {
        let length = random.below(200);
        let mut frame: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
        // Most of it looks like something until one looks closer.
        let likely: &[(usize, &[u8])] = &[
            (0, &[2, 0, 0, 0, 0, 1]),
            (12, &[8, 0]),
            (14, &[0x45]),
            (23, &[6]),
            (26, &[10, 0, 0, 2, 10, 0, 0, 1]),
            (36, &[0, 80]),
        ];
        for (place, bytes) in likely {
            if !random.one_in(8)
                && let Some(space) = frame.get_mut(*place..place + bytes.len())
            {
                space.copy_from_slice(bytes);
            }
        }
        // Half of it passes the checks that a wire's errors do not.
        if random.one_in(2) && frame.len() > 34 {
            frame[24..26].fill(0);
            let sum: u32 =
                frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            let sum = (sum & 0xffff) + (sum >> 16);
            let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            frame[24..26].copy_from_slice(&(!sum).to_be_bytes());
            crate::net::checksum::complete(&mut frame);
        }
        world.server.device().incoming.0.push_back(frame);
        let now = world.now;
        world.server.poll(now);
        world.server.device().outgoing.frames.clear();
    }
    write(world.client.stack(), client, b"still there?");
    world.run_until(Duration::from_secs(60), |world| read(world.server.stack(), server) != Received::Nothing);
}

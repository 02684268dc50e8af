//! The queue against a device that does not keep the rules.

use super::plain::Plain;
use super::{incoming, outgoing, queue};
use crate::io::virtqueue::fake::Device;
use crate::io::virtqueue::{Completion, Notification, QueueError, Virtqueue};
use std::collections::BTreeMap;

#[test]
fn a_used_index_that_jumps_is_an_error() {
    let (mut queue, device) = queue(8, Notification::EventIndex);
    queue.add(&[incoming(0, 64)], 0).unwrap();
    let _rung = queue.publish();
    device.claim(2);
    assert_eq!(queue.pop(), Err(QueueError::IndexJump));
    device.claim(u16::MAX);
    assert_eq!(queue.pop(), Err(QueueError::IndexJump));
    assert_eq!(queue.enable_interrupts(), Err(QueueError::IndexJump));
}

#[test]
fn an_identifier_that_is_not_in_flight_is_an_error() {
    for head in [1, 7, 8, 0xffff, 0x1_0000, u32::MAX] {
        let (mut queue, mut device) = queue(8, Notification::EventIndex);
        queue.add(&[incoming(0, 64)], 0).unwrap();
        let _rung = queue.publish();
        device.finish(head, 0);
        assert_eq!(queue.pop(), Err(QueueError::NotInFlight), "{head}");
    }
}

#[test]
fn the_same_chain_cannot_come_back_twice() {
    let (mut queue, mut device) = queue(8, Notification::EventIndex);
    queue.add(&[incoming(0, 64)], 0).unwrap();
    queue.add(&[incoming(0, 64)], 1).unwrap();
    device.finish(0, 64);
    device.finish(0, 64);
    assert!(queue.pop().is_ok());
    assert_eq!(queue.pop(), Err(QueueError::NotInFlight));
}

#[test]
fn a_length_beyond_the_buffers_gives_the_chain_back() {
    let (mut queue, mut device) = queue(8, Notification::EventIndex);
    queue.add(&[outgoing(0, 1000), incoming(0, 64)], 9).unwrap();
    device.finish(0, 65);
    assert_eq!(queue.pop(), Err(QueueError::LengthTooLong { token: 9 }));
    assert_eq!((queue.free(), queue.in_flight()), (8, 0));
    assert_eq!(queue.pop(), Ok(None));
}

/// xorshift64 (Marsaglia 2003): the same states at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn u16(&mut self) -> u16 {
        u16::try_from(self.next() >> 48).unwrap()
    }

    fn u32(&mut self) -> u32 {
        u32::try_from(self.next() >> 32).unwrap()
    }
}

/// What the driver believes to be in flight, kept apart from the queue: token to writable bytes.
type Model = BTreeMap<u16, u32>;

#[test]
fn a_million_random_used_rings_never_break_the_queue() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut states, mut good, mut refused) = (0, 0_u64, 0_u64);
    while states < 1_000_000 {
        let size = 1 << (random.next() % 8);
        let notification =
            if random.next().is_multiple_of(2) { Notification::Flag } else { Notification::EventIndex };
        let (mut queue, mut device) = queue(size, notification);
        let mut model = Model::new();
        for _ in 0..200 {
            states += 1;
            fill(&mut queue, &mut model, &mut random);
            scribble(&mut device, &mut random);
            match drain(&mut queue, &mut model) {
                Some(count) => good += count,
                None => {
                    refused += 1;
                    break;
                }
            }
            // Whatever the device does, the books balance.
            assert_eq!(queue.in_flight(), model.len());
            assert!(queue.free() <= usize::from(size));
        }
    }
    assert!(good > 10_000 && refused > 10_000, "both ways are walked: {good}, {refused}");
}

fn fill(queue: &mut Virtqueue<Plain>, model: &mut Model, random: &mut Random) {
    for _ in 0..random.next() % 4 {
        let token = random.u16();
        let length = random.u32() % 4096;
        let chain = [outgoing(random.next(), 12), incoming(random.next(), length)];
        let chain = if random.next().is_multiple_of(2) { &chain[..] } else { &chain[1..] };
        if !model.contains_key(&token) && queue.add(chain, token).is_ok() {
            model.insert(token, length);
        }
    }
    let _rung = queue.publish();
}

/// Sets a random part of what the device may write: used elements mostly near what is right, so that the checks are
/// reached in depth, and any 16 bits at times.
fn scribble(device: &mut Device<Plain>, random: &mut Random) {
    let size = u32::from(device.layout.size());
    for _ in 0..random.next() % 4 {
        match random.next() % 8 {
            0 => device.claim(random.u16()),
            1 => device.finish(random.u32(), random.u32()),
            2 => device.shared.store_u16(device.layout.used_flags(), random.u16()),
            3 => device.shared.store_u16(device.layout.available_event(), random.u16()),
            // The device may write where only the driver should: the driver does not read it back.
            4 => device.shared.store_u64(device.layout.descriptor(random.u16()), random.next()),
            _ => device.finish(random.u32() % (size + 1), random.u32() % 5000),
        }
    }
}

/// Takes all completions and returns how many were good; `None` when the queue is to be made anew.
fn drain(queue: &mut Virtqueue<Plain>, model: &mut Model) -> Option<u64> {
    let mut count = 0;
    for _ in 0..=queue.size() {
        match queue.pop() {
            Ok(None) => return Some(count),
            Ok(Some(Completion { token, written })) => {
                let writable = model.remove(&token).expect("only what is in flight comes back");
                assert!(written <= writable);
                count += 1;
            }
            Err(QueueError::LengthTooLong { token }) => {
                assert!(model.remove(&token).is_some(), "the chain was in flight");
            }
            Err(_) => return None,
        }
    }
    panic!("more came back than the queue holds");
}
